#!/usr/bin/env bash
# Runs both commands of the README in bare Debian 12 systems, which debootstrap makes in DIR, with a clone of the last commit. A line
# for each system says how long they took; leaves with 1 if one failed. Needs root, debootstrap, a mirror, and per system some 4 GB.
#
#   ./tests/fresh.sh DIR [--configure] [--mirror URL] [SYSTEM ...]
#
# The systems are (all of them, unless some are named)
#   root     debootstrap's variant minbase with nothing else installed, as root
#   sudo     as a user who may use sudo
#   user     as a user who may install nothing: both commands must say what is to be installed and leave with 1; then that very
#            command is run as root, and they must succeed
#   blas     with libblas-dev, whose cblas.h is not OpenBLAS', as root
#   serial   with libopenblas-serial-dev, as root
#   openmp   with libopenblas-openmp-dev, as root
# --configure stops both commands once they have installed and configured. The mirror is that of this machine's apt by default. DIR/base
# and DIR/archives are kept and used again; DIR/SYSTEM is made anew each time, and DIR/SYSTEM.log has everything that was printed.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

usage() {
  echo "fresh.sh: $1" >&2
  exit 2
}

known=(root sudo user blas serial openmp)
directory="" mirror="" systems=() options=()
while [ $# -gt 0 ]; do
  case "$1" in
    --configure) options=(--configure) ;;
    --mirror)
      [ -n "${2:-}" ] || usage "--mirror expects a URL, got none"
      mirror=$2
      shift
      ;;
    -h | --help)
      sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    -*) usage "unknown argument \"$1\"; known are --configure, --mirror URL, --help" ;;
    *)
      if [ -z "$directory" ]; then
        directory=$1
      elif [[ " ${known[*]} " == *" $1 "* ]]; then
        systems+=("$1")
      else
        usage "expected one of the systems ${known[*]}, got \"$1\""
      fi
      ;;
  esac
  shift
done
[ -n "$directory" ] || usage "expected a directory for the systems, got none"
[ ${#systems[@]} -gt 0 ] || systems=("${known[@]}")
[ "$(id -u)" -eq 0 ] || usage "expected to run as root, which debootstrap and chroot need"
command -v debootstrap > /dev/null || usage "expected debootstrap, which is not installed"
if [ -z "$mirror" ]; then
  # shellcheck disable=SC2016  # apt's own format
  mirror=$(apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 2> /dev/null | sed -n 's/^bookworm //p' | head -n 1 || true)
  [ -n "$mirror" ] || usage "expected --mirror URL, as apt knows none of Debian 12 on this machine"
fi
mkdir -p "$directory/archives/partial"
directory=$(cd "$directory" && pwd)

if [ ! -e "$directory/base/etc/debian_version" ]; then
  echo "fresh: making a bare system from $mirror"
  rm -rf "$directory/base"
  debootstrap --variant=minbase bookworm "$directory/base" "$mirror" > "$directory/base.log" 2>&1 || {
    tail -n 20 "$directory/base.log"
    echo "fresh: FAILED: debootstrap could not make a system (above; $directory/base.log)"
    exit 1
  }
fi

# inside SYSTEM USER COMMAND: runs it there with a terminal-less, clean environment; nothing of it stays mounted or running.
inside() {
  # shellcheck disable=SC2016  # for the inner shell
  unshare --mount --pid --fork --kill-child bash -c '
    mkdir -p "$1/dev/pts" "$1/dev/shm"
    mount -t proc proc "$1/proc" && mount -t devpts devpts "$1/dev/pts" && mount -t tmpfs tmpfs "$1/dev/shm" || exit 125
    mount --bind "$2" "$1/var/cache/apt/archives" || exit 125
    exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME="$4" LANG=C.UTF-8 \
      chroot --userspec="$3:$3" "$1" bash -c "$5" < /dev/null' inside \
    "$directory/$1" "$directory/archives" "$2" "$([ "$2" = root ] && echo /root || echo "/home/$2")" "$3"
}

# command SYSTEM USER COMMAND: as inside, timed: sets `took` and `code`, and appends what is printed to the log.
log=/dev/null took=0 code=0
timed() {
  local before=$SECONDS
  code=0
  echo "+ $3" >> "$log"
  inside "$@" >> "$log" 2>&1 || code=$?
  took=$((SECONDS - before))
}

failed=0
for system in "${systems[@]}"; do
  log=$directory/$system.log user=root install="" row="" problem=""
  rm -rf "${directory:?}/$system"
  cp -a "$directory/base" "$directory/$system"
  : > "$log"
  case $system in
    sudo) user=stranger install=sudo ;;
    user) user=stranger ;;
    blas) install=libblas-dev ;;
    serial) install=libopenblas-serial-dev ;;
    openmp) install=libopenblas-openmp-dev ;;
  esac
  if [ -n "$install" ]; then
    timed "$system" root "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $install"
    [ "$code" -eq 0 ] || problem="apt-get could not install $install"
  fi
  home=/root
  if [ "$user" != root ]; then
    home=/home/$user
    timed "$system" root "useradd --create-home $user"
    [ "$system" != sudo ] || echo "$user ALL=(ALL) NOPASSWD: ALL" > "$directory/$system/etc/sudoers.d/$user"
  fi
  git clone --quiet --no-hardlinks "$root" "$directory/$system$home/tern"
  rm -rf "$directory/$system$home/tern/.git/hooks"
  [ "$user" = root ] || timed "$system" root "chown -R $user:$user $home/tern"
  for script in ./apps/quickstart.sh ./tests/run.sh; do
    line="cd $home/tern && $script ${options[*]}"
    [ -z "$problem" ] || break
    if [ "$system" = user ]; then
      timed "$system" "$user" "$line"
      wanted=$(sed -n 's/^This needs packages that are not installed\. Run, as root:  //p' "$log" | tail -n 1)
      if [ "$code" -ne 1 ] || [ -z "$wanted" ]; then
        problem="$script left with $code and did not say what to install"
        break
      fi
      row+=" $script says what to install and leaves with 1;"
      timed "$system" root "export DEBIAN_FRONTEND=noninteractive; ${wanted/apt-get install/apt-get install -y -qq}"
      : "$(sed -i 's/^\(This needs packages that are not installed\)\./\1 (done)./' "$log")"
    fi
    timed "$system" "$user" "$line"
    row+=" $script ${options[*]} $took s;"
    [ "$code" -eq 0 ] || problem="$script left with $code"
  done
  if [ -n "$problem" ]; then
    failed=1
    tail -n 30 "$log"
    echo "fresh $system: FAILED:$row $problem (above; $log)"
  else
    echo "fresh $system: passed:$row $(grep -E '^tests: ' "$log" | tail -n 1)"
  fi
done
exit $failed
