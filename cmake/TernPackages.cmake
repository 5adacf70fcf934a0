# What Tern is built with: found and tried here alone, for the CMakeLists and, through cmake/probes, for packages.sh.
#
# Each line of the table is a Debian package, in quotes what it is in messages, and where CMake finds it:
#   HEADER file [SUFFIXES directory...]   a header, for tern_NAME_INCLUDE
#   LIBRARY name                          a library, for tern_NAME_LIBRARY
#   PACKAGE name TARGET target            what find_package knows, in place of both
# NAME is the package's name. A package is there if probes/NAME.cpp compiles and links with what was found. Lines of
# tern_test_package are wanted by the tests alone. packages.sh reads the names from the same lines.
macro(tern_package name)
  list(APPEND tern_packages ${name})
  set(tern_package_${name} ${ARGN})
endmacro()
macro(tern_test_package name)
  list(APPEND tern_test_packages ${name})
  set(tern_package_${name} ${ARGN})
endmacro()

set(tern_packages "")
set(tern_test_packages "")
# The header of Debian's reference BLAS has the same name, and comes first in /usr/include where both are.
set(openblas_directories openblas-pthread openblas-openmp openblas-serial openblas)
tern_package(libopenblas-dev "OpenBLAS with LAPACK" HEADER cblas.h SUFFIXES ${openblas_directories} LIBRARY openblas)
tern_package(nlohmann-json3-dev "nlohmann's JSON of version 3.7 or later" HEADER nlohmann/json.hpp)
tern_package(libpng-dev "libpng" PACKAGE PNG TARGET PNG::PNG)
tern_package(libjpeg-dev "libjpeg-turbo" PACKAGE JPEG TARGET JPEG::JPEG)
tern_test_package(libgtest-dev "GoogleTest of version 1.10 or later" PACKAGE GTest TARGET GTest::gtest)

set(tern_probes ${CMAKE_CURRENT_LIST_DIR}/probes)

# tern_try_packages(RESULT LOG NAME...): looks again whether all of these packages are there; LOG is what was in the way.
function(tern_try_packages result log)
  set(sources ${tern_probes}/cxx20.cpp)
  set(includes "")
  set(libraries "")
  set(missing "")
  foreach(name ${ARGN})
    cmake_parse_arguments(ARG "" "HEADER;LIBRARY;PACKAGE;TARGET" "SUFFIXES" ${tern_package_${name}})
    list(APPEND sources ${tern_probes}/${name}.cpp)
    if(ARG_PACKAGE)
      find_package(${ARG_PACKAGE} QUIET GLOBAL)
      if(TARGET ${ARG_TARGET})
        list(APPEND libraries ${ARG_TARGET})
      else()
        string(APPEND missing "CMake finds no ${ARG_PACKAGE}\n")
      endif()
    endif()
    if(ARG_HEADER)
      find_path(tern_${name}_INCLUDE ${ARG_HEADER} PATH_SUFFIXES ${ARG_SUFFIXES} DOC "Directory of ${ARG_HEADER}")
      if(tern_${name}_INCLUDE)
        list(APPEND includes ${tern_${name}_INCLUDE})
      else()
        string(APPEND missing "CMake finds no ${ARG_HEADER}\n")
      endif()
    endif()
    if(ARG_LIBRARY)
      find_library(tern_${name}_LIBRARY ${ARG_LIBRARY} DOC "The library ${ARG_LIBRARY}")
      if(tern_${name}_LIBRARY)
        list(APPEND libraries ${tern_${name}_LIBRARY})
      else()
        string(APPEND missing "CMake finds no library ${ARG_LIBRARY}\n")
      endif()
    endif()
  endforeach()
  set(there FALSE)
  if(NOT missing)
    # Directories that the compiler looks into by itself must keep their place.
    list(REMOVE_ITEM includes ${CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES})
    try_compile(there SOURCES ${sources} CMAKE_FLAGS "-DINCLUDE_DIRECTORIES=${includes}" LINK_LIBRARIES ${libraries}
                CXX_STANDARD 20 CXX_STANDARD_REQUIRED TRUE OUTPUT_VARIABLE missing NO_CACHE)
  endif()
  set(${result} ${there} PARENT_SCOPE)
  set(${log} "${missing}" PARENT_SCOPE)
endfunction()

# tern_missing_packages(RESULT NAME...): those of these packages that are not there; tern_missing_NAME is why.
function(tern_missing_packages result)
  set(missing "")
  tern_try_packages(there log ${ARGN})
  if(NOT there)
    foreach(name ${ARGN})
      tern_try_packages(there log ${name})
      if(NOT there)
        list(APPEND missing ${name})
        set(tern_missing_${name} "${log}" PARENT_SCOPE)
      endif()
    endforeach()
  endif()
  set(${result} "${missing}" PARENT_SCOPE)
endfunction()

# tern_need_packages(NAME...): stops unless the compiler knows C++20 and these packages are there. Once it has succeeded it does not
# try again, so call find_package for a target such as PNG::PNG before linking it.
function(tern_need_packages)
  list(JOIN ARGN " " names)  # without semicolons: an element of the list below
  set(wanted "${CMAKE_CXX_COMPILER} ${CMAKE_CXX_COMPILER_VERSION} ${names}")
  if(wanted IN_LIST tern_packages_there)
    return()
  endif()
  tern_try_packages(there log)
  if(NOT there)
    message(FATAL_ERROR "Tern is written in C++20, which ${CMAKE_CXX_COMPILER} (${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}) "
                        "does not know well enough; g++ 12 and clang 14 do:\n${log}")
  endif()
  tern_missing_packages(missing ${ARGN})
  foreach(name ${missing})
    list(GET tern_package_${name} 0 sentence)
    message(SEND_ERROR "Tern needs ${sentence}, Debian's package ${name}, which is not there:\n${tern_missing_${name}}")
  endforeach()
  if(missing)
    message(FATAL_ERROR "apt-get install ${missing}")
  endif()
  set(tern_packages_there ${tern_packages_there} "${wanted}" CACHE INTERNAL "What tern_need_packages has found to be there")
endfunction()
