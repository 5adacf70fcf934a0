# tern_room(NAME [DEPENDS room...] [APART regex...] [SKIP regex...] [ALSO header...])
#
# A room is a directory with a static library tern_NAME (alias tern::NAME) of all its sources. A header's place in the tree is its
# include path: core/ops/conv.h is <tern/core/ops/conv.h>; apps/train/loop/trainer.h alone drops its first folder,
# <tern/train/loop/trainer.h>. Headers are reached through a directory of symbolic links of the room's own, so that a room sees
# the headers of the rooms it depends on and no others. Files whose path matches an APART expression are no part of the room;
# sources that match a SKIP expression are left to the room's own CMakeLists. ALSO names headers of another folder that are the room's.

set(TERN_WARNINGS -Wall -Wextra -Wpedantic -Wshadow)

# Of release builds. Instrumented code is for finding errors: -O1 compiles it a quarter faster.
set(room_optimization -O2)
# Loops become vector code as with -O3; what else -O3 does to them doubles the time to compile and gains nothing measurable.
set(kernel_optimization -O2 -ftree-vectorize -fvect-cost-model=dynamic)
if(TERN_SANITIZE)
  set(room_optimization -O1)
  set(kernel_optimization -O1)
endif()
# libFuzzer watches which way files take through the rooms; kernels, which see no files, stay as fast as they were.
set(room_instrumentation "")
if(TERN_BUILD_FUZZERS)
  set(room_instrumentation -fsanitize=fuzzer-no-link)
endif()

function(tern_target_settings target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
  # Sources compiled several at a time (CMAKE_UNITY_BUILD) look to GCC as if they were headers.
  target_compile_options(${target} PRIVATE $<$<AND:$<CXX_COMPILER_ID:GNU>,$<BOOL:${CMAKE_UNITY_BUILD}>>:-Wno-subobject-linkage>)
  if(TERN_DEV)
    # GCC 12 sees overflows in the strings of its own library (its bugs 105329, 105651) once they come precompiled.
    target_compile_options(${target} PRIVATE ${TERN_WARNINGS} -Werror
        $<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds -Wno-restrict -Wno-stringop-overflow>)
  endif()
  if(TERN_SANITIZE)
    target_compile_definitions(${target} PRIVATE TERN_SANITIZED=1)
    # Instrumented code makes GCC 12 see uninitialized members in the standard library's function and regex.
    target_compile_options(${target} PRIVATE -fsanitize=${TERN_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all
                           $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
    target_link_options(${target} PUBLIC -fsanitize=${TERN_SANITIZE})
  endif()
endfunction()

# Half of a small file's compile time goes into these headers, which are read once for all rooms and programs. Sources
# include what they use all the same: a build with CMAKE_DISABLE_PRECOMPILE_HEADERS=ON must succeed.
function(tern_precompiled_headers target)
  if(NOT TARGET tern_precompiled)
    file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/precompiled.cpp CONTENT "// nothing but the headers\n")
    add_library(tern_precompiled OBJECT ${CMAKE_BINARY_DIR}/precompiled.cpp)
    set_target_properties(tern_precompiled PROPERTIES POSITION_INDEPENDENT_CODE ON)
    target_include_directories(tern_precompiled PRIVATE ${CMAKE_BINARY_DIR}/include/core)
    target_compile_options(tern_precompiled PRIVATE $<$<CONFIG:Release>:${room_optimization}> ${room_instrumentation})
    target_precompile_headers(tern_precompiled PRIVATE <algorithm> <cmath> <functional> <map> <memory> <optional>
                              <string> <vector> <tern/core/tensor.h>)
    tern_target_settings(tern_precompiled)
  endif()
  target_precompile_headers(${target} REUSE_FROM tern_precompiled)
endfunction()

function(tern_public_headers name)
  file(RELATIVE_PATH place ${PROJECT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
  string(REGEX REPLACE "^apps/" "" place ${place})
  file(REMOVE_RECURSE ${CMAKE_BINARY_DIR}/include/${name})  # a header that has moved must not be found where it was
  foreach(header ${ARGN})
    get_filename_component(link ${CMAKE_BINARY_DIR}/include/${name}/tern/${place}/${header} ABSOLUTE)
    get_filename_component(folder ${link} DIRECTORY)
    file(MAKE_DIRECTORY ${folder})
    file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR}/${header} ${link} SYMBOLIC)
    file(RELATIVE_PATH folder ${CMAKE_BINARY_DIR}/include/${name}/tern ${folder})
    install(FILES ${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tern/${folder})
  endforeach()
endfunction()

function(tern_room name)
  cmake_parse_arguments(ARG "" "" "ALSO;APART;DEPENDS;SKIP" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} *.cpp)
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} *.h)
  foreach(expression ${ARG_APART})
    list(FILTER sources EXCLUDE REGEX ${expression})
    list(FILTER headers EXCLUDE REGEX ${expression})
  endforeach()
  foreach(expression ${ARG_SKIP})
    list(FILTER sources EXCLUDE REGEX ${expression})
  endforeach()
  tern_public_headers(${name} ${headers} ${ARG_ALSO})
  add_library(tern_${name} STATIC ${sources})
  add_library(tern::${name} ALIAS tern_${name})
  set_target_properties(tern_${name} PROPERTIES EXPORT_NAME ${name} POSITION_INDEPENDENT_CODE ON)
  target_compile_options(tern_${name} PRIVATE $<$<CONFIG:Release>:${room_optimization}> ${room_instrumentation})
  tern_precompiled_headers(tern_${name})
  target_include_directories(tern_${name} PUBLIC $<BUILD_INTERFACE:${CMAKE_BINARY_DIR}/include/${name}>
                                                 $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  foreach(room ${ARG_DEPENDS})
    target_link_libraries(tern_${name} PUBLIC tern::${room})
  endforeach()
  tern_target_settings(tern_${name})
  install(TARGETS tern_${name} EXPORT ternTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
endfunction()

# tern_brings(NAME library...): for linking by hand, -ltern_NAME brings these along, as a script for the linker (Debian's libm.a is one).
function(tern_brings name)
  set_target_properties(tern_${name} PROPERTIES OUTPUT_NAME tern_${name}_alone)
  list(TRANSFORM ARGN PREPEND -l)
  list(JOIN ARGN " " libraries)
  set(script ${CMAKE_CURRENT_BINARY_DIR}/libtern_${name}.a)
  file(CONFIGURE OUTPUT ${script} CONTENT "INPUT(-ltern_${name}_alone ${libraries})\n")
  install(FILES ${script} DESTINATION ${CMAKE_INSTALL_LIBDIR})
endfunction()

# tern_room_kernels(NAME [SOURCES source...] [INT source...]): compiles the sources, kernels/*.cpp by default, once per instruction set (TERN_ISAS), each time into the
# namespace that TERN_ISA names, and adds them to the room's library. For avx2_vnni, whose instructions are for integers, the sources
# of INT alone. See core/kernels/kernel.h.
set(isa_flags_portable "")
set(isa_flags_avx2 -mavx2 -mfma -mf16c -mbmi2)
set(isa_flags_avx2_vnni ${isa_flags_avx2} -mavxvnni)
set(isa_flags_avx512_vnni ${isa_flags_avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mprefer-vector-width=512)
if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set(TERN_ISAS portable)
endif()
foreach(isa ${TERN_ISAS})
  if(NOT DEFINED isa_flags_${isa})
    message(FATAL_ERROR "TERN_ISAS: expected portable, avx2, avx2_vnni or avx512_vnni, got ${isa}")
  endif()
endforeach()

function(tern_room_kernels name)
  cmake_parse_arguments(ARG "" "" "SOURCES;INT" ${ARGN})
  set(all ${ARG_SOURCES})
  if(NOT all)
    file(GLOB all CONFIGURE_DEPENDS kernels/*.cpp)
  endif()
  foreach(isa ${TERN_ISAS})
    set(kernels ${all})
    if(isa STREQUAL "avx2_vnni")
      set(kernels ${ARG_INT})
    endif()
    if(NOT kernels)
      continue()
    endif()
    set(objects tern_${name}_kernels_${isa})
    add_library(${objects} OBJECT ${kernels})
    target_compile_definitions(${objects} PRIVATE TERN_ISA=${isa})
    target_compile_options(${objects} PRIVATE ${isa_flags_${isa}} -fno-math-errno -fno-trapping-math -Wno-psabi
                           $<$<CONFIG:Release>:${kernel_optimization}>)
    target_include_directories(${objects} PRIVATE $<TARGET_PROPERTY:tern_${name},INCLUDE_DIRECTORIES>)
    set_target_properties(${objects} PROPERTIES POSITION_INDEPENDENT_CODE ON UNITY_BUILD OFF)
    tern_target_settings(${objects})
    target_sources(tern_${name} PRIVATE $<TARGET_OBJECTS:${objects}>)
    string(TOUPPER ${isa} upper)
    target_compile_definitions(tern_${name} PRIVATE TERN_HAVE_${upper}=1)
  endforeach()
endfunction()
