# Installs the build tree into a fresh prefix, builds the consumer project against that package alone, and runs its programs.
# With the generator of the build tree, whose program is there.
#   cmake -DBUILD=... -DSOURCE=... -DWORK=... -DDATA=... -DGOLDEN=... -DTEXT=... -DINSPECT=... -DGENERATOR=... -DMAKE=... -DCOMPILER=... -DLAUNCHER=... -P run.cmake
function(step name)
  execute_process(COMMAND ${ARGN} WORKING_DIRECTORY ${WORK} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${name} failed (${status}):\n${output}")
  endif()
  message(STATUS "${name}: done")
endfunction()

file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})
step("install" ${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix)
step("configure" ${CMAKE_COMMAND} -S ${SOURCE} -B ${WORK}/build -G ${GENERATOR} -DCMAKE_MAKE_PROGRAM=${MAKE} -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH=${WORK}/prefix
     -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER})
step("build" ${CMAKE_COMMAND} --build ${WORK}/build)
step("smallnet" ${WORK}/build/smallnet ${DATA} 1)
step("packed" ${WORK}/build/packed)
foreach(model mobilenetv2 resnext29 unet)
  step("${model}" ${WORK}/build/models ${model} ${GOLDEN} ${DATA} ${WORK} ${INSPECT})
endforeach()
step("char_lstm" ${WORK}/build/models char_lstm ${GOLDEN} ${TEXT} ${WORK} ${INSPECT})
