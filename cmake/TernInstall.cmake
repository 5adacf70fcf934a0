# The package that find_package(tern) finds: tern::tern brings every room, tern::core and the others one each.
add_library(tern_all INTERFACE)
add_library(tern::tern ALIAS tern_all)
set_target_properties(tern_all PROPERTIES EXPORT_NAME tern)
target_link_libraries(tern_all INTERFACE tern::train tern::text tern::data tern::optim tern::quant tern::packed tern::nn tern::core)
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/include/all/tern)
file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR}/apps/train/tern.h ${CMAKE_BINARY_DIR}/include/all/tern/tern.h SYMBOLIC)
target_include_directories(tern_all INTERFACE $<BUILD_INTERFACE:${CMAKE_BINARY_DIR}/include/all>
                                              $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
install(FILES apps/train/tern.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tern)
install(TARGETS tern_all EXPORT ternTargets)
install(EXPORT ternTargets NAMESPACE tern:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/tern)

include(CMakePackageConfigHelpers)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/ternConfigVersion.cmake COMPATIBILITY SameMinorVersion)
configure_file(cmake/ternConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/ternConfig.cmake @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/ternConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/ternConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/tern)
