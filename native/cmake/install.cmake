# cmake --install: library, headers, MPI modules, Fortran module, Python package, and what finds them. The prefix may be
# moved as a whole: nothing in it says where it is.
include(CMakePackageConfigHelpers)
set(WEFT_MODULES "${CMAKE_INSTALL_LIBDIR}/weftline")
set(WEFT_SHARE "${CMAKE_INSTALL_DATADIR}/weftline")
set(package "${CMAKE_INSTALL_LIBDIR}/cmake/weftline")

add_library(weft_cpp INTERFACE)
set_target_properties(weft_cpp PROPERTIES EXPORT_NAME cpp)
target_link_libraries(weft_cpp INTERFACE weft_library)
target_compile_features(weft_cpp INTERFACE cxx_std_20)
install(TARGETS weft_library weft_cpp EXPORT weftlineTargets
  LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(EXPORT weftlineTargets NAMESPACE weftline:: DESTINATION "${package}")
install(DIRECTORY include/weftline DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")

# The library looks for them there (native/mpi/loader.cc).
foreach(family ${WEFT_MPI_FAMILIES})
  install(TARGETS weftline_mpi_${family} LIBRARY DESTINATION "${WEFT_MODULES}")
endforeach()

set(WEFT_FORTRAN_ID "none")
set(WEFT_FORTRAN_NAMES "")
foreach(source ${WEFT_FORTRAN_SOURCES})
  get_filename_component(name "${source}" NAME)
  list(APPEND WEFT_FORTRAN_NAMES "${name}")
endforeach()
string(REPLACE ";" " " WEFT_FORTRAN_NAMES "${WEFT_FORTRAN_NAMES}")
install(FILES ${WEFT_FORTRAN_SOURCES} DESTINATION "${WEFT_SHARE}/fortran")
file(RELATIVE_PATH WEFT_PREFIX_FROM_PC "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
if(TARGET weft_fortran)
  set(WEFT_FORTRAN_ID "${CMAKE_Fortran_COMPILER_ID} ${CMAKE_Fortran_COMPILER_VERSION}")
  install(TARGETS weft_fortran EXPORT weftlineFortranTargets ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
  install(EXPORT weftlineFortranTargets NAMESPACE weftline:: DESTINATION "${package}")
  install(DIRECTORY "${CMAKE_BINARY_DIR}/fortran/modules/" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/weftline/fortran"
    FILES_MATCHING PATTERN "*.mod")
  configure_file(cmake/weftline-fortran.pc.in weftline-fortran.pc @ONLY)
  install(FILES "${CMAKE_BINARY_DIR}/weftline-fortran.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
endif()
configure_file(cmake/weftline.pc.in weftline.pc @ONLY)
install(FILES "${CMAKE_BINARY_DIR}/weftline.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
configure_package_config_file(cmake/weftlineConfig.cmake.in weftlineConfig.cmake INSTALL_DESTINATION "${package}"
  PATH_VARS WEFT_SHARE)
write_basic_package_version_file(weftlineConfigVersion.cmake VERSION ${PROJECT_VERSION} COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_BINARY_DIR}/weftlineConfig.cmake" "${CMAKE_BINARY_DIR}/weftlineConfigVersion.cmake"
  DESTINATION "${package}")

# Beside the modules: it finds the library two folders above.
if(EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/../python/weftline")
  install(DIRECTORY ../python/weftline DESTINATION "${WEFT_MODULES}/python"
    PATTERN "__pycache__" EXCLUDE)
endif()
