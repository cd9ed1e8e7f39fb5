# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# stasis_add_library(PART DESCRIPTION text SOURCES file... INCLUDE folder [HEADERS name...]
#                    [NEEDS part...] [MODULES pkg-config-prefix=module...] [THREADS]
#                    [OBJECTS target...] [TARGET name])
# One of our libraries, twice from the same objects: stasis_<part> is static and what everything in
# this tree links (or TARGET), since tests reach its internals; stasis_<part>_shared exports STASIS_EXPORT only.
# Installed with headers (all of INCLUDE, or its HEADERS), CMake package and pkg-config file.
#
# A release of one library works with the same release of the others and no other. What enforces it
# is made here: <stasis/<part>_version.h> when compiling, EXACT and "=" when configuring, and when
# loading the full version in the SONAME and in the version of every symbol.
include(CMakePackageConfigHelpers)
set(stasis_templates "${CMAKE_CURRENT_LIST_DIR}/library")

define_property(GLOBAL PROPERTY STASIS_LIBRARIES) # libraries so far, each behind what it needs

function(stasis_add_library part)
    set_property(GLOBAL APPEND PROPERTY STASIS_LIBRARIES ${part})
    cmake_parse_arguments(PARSE_ARGV 1 arg "THREADS" "DESCRIPTION;INCLUDE;TARGET"
        "SOURCES;HEADERS;MODULES;NEEDS;OBJECTS")
    set(name stasis_${part})
    if(arg_TARGET)
        set(name ${arg_TARGET})
    endif()
    set(package stasis-${part})
    set(own_include "${CMAKE_CURRENT_BINARY_DIR}/include")

    _stasis_describe()
    configure_file("${stasis_templates}/version.h.in" "${own_include}/stasis/${part}_version.h" @ONLY)
    configure_file("${stasis_templates}/symbols.map.in" "${CMAKE_CURRENT_BINARY_DIR}/${package}.map" @ONLY)
    configure_file("${stasis_templates}/package.pc.in" "${CMAKE_CURRENT_BINARY_DIR}/${package}.pc" @ONLY)
    configure_package_config_file("${stasis_templates}/config.cmake.in"
        "${CMAKE_CURRENT_BINARY_DIR}/${package}-config.cmake"
        INSTALL_DESTINATION "${CMAKE_INSTALL_LIBDIR}/cmake/${package}" NO_SET_AND_CHECK_MACRO)
    write_basic_package_version_file("${CMAKE_CURRENT_BINARY_DIR}/${package}-config-version.cmake"
        COMPATIBILITY ExactVersion)

    set(objects "")
    foreach(target IN LISTS arg_OBJECTS)
        list(APPEND objects $<TARGET_OBJECTS:${target}>)
    endforeach()
    if(arg_SOURCES)
        add_library(${name}_objects OBJECT ${arg_SOURCES})
        list(APPEND objects $<TARGET_OBJECTS:${name}_objects>)
        _stasis_link(${name}_objects "")
        target_link_libraries(${name}_objects PRIVATE stasis_flags)
    endif()
    add_library(${name} STATIC ${objects})
    add_library(Stasis::${part}_static ALIAS ${name})
    _stasis_link(${name} "")
    set_target_properties(${name} PROPERTIES
        OUTPUT_NAME ${package} EXPORT_NAME ${part}_static LINKER_LANGUAGE C)
    set(installed ${name})
    if(STASIS_SHARED)
        _stasis_add_shared()
        list(APPEND installed ${name}_shared)
    endif()
    _stasis_install()
endfunction()

macro(_stasis_add_shared)
    add_library(${name}_shared SHARED ${objects})
    add_library(Stasis::${part} ALIAS ${name}_shared)
    _stasis_link(${name}_shared _shared)
    target_link_libraries(${name}_shared PRIVATE stasis_flags)
    set(map "${CMAKE_CURRENT_BINARY_DIR}/${package}.map")
    set_target_properties(${name}_shared PROPERTIES
        OUTPUT_NAME ${package} EXPORT_NAME ${part} LINKER_LANGUAGE C VERSION ${PROJECT_VERSION}
        SOVERSION ${PROJECT_VERSION} LINK_DEPENDS "${map}")
    # A library finds those that it needs beside it, wherever they are installed.
    if(arg_NEEDS)
        set_target_properties(${name}_shared PROPERTIES INSTALL_RPATH "$ORIGIN")
    endif()
    target_link_options(${name}_shared PRIVATE "LINKER:--version-script=${map}")
endmacro()

# Links and includes of one of the three targets; `kind` is the suffix of the libraries it links.
macro(_stasis_link target kind)
    target_include_directories(${target} PUBLIC
        "$<BUILD_INTERFACE:${arg_INCLUDE}>" "$<BUILD_INTERFACE:${own_include}>"
        "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
    foreach(need IN LISTS arg_NEEDS)
        target_link_libraries(${target} PUBLIC stasis_${need}${kind})
    endforeach()
    foreach(module IN LISTS arg_MODULES)
        string(REGEX REPLACE "=.*" "" prefix "${module}")
        target_link_libraries(${target} PRIVATE PkgConfig::${prefix})
    endforeach()
    if(arg_THREADS)
        target_link_libraries(${target} PRIVATE Threads::Threads)
    endif()
endmacro()

# The way from a pkg-config file to the prefix.
macro(_stasis_find_prefix)
    file(RELATIVE_PATH to_prefix "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")
    string(REGEX REPLACE "/$" "" to_prefix "${to_prefix}")
endmacro()

# What the templates say of the library: node, number, and what it needs in each of their languages.
macro(_stasis_describe)
    string(TOUPPER "${part}" PART)
    string(REPLACE "." "_" node "STASIS_${PART}_${PROJECT_VERSION}")
    math(EXPR number
        "${PROJECT_VERSION_MAJOR} * 1000000 + ${PROJECT_VERSION_MINOR} * 1000 + ${PROJECT_VERSION_PATCH}")
    _stasis_find_prefix()
    set(needs_header "")
    set(needs_cmake "")
    set(needs_pc "")
    set(modules_pc "")
    set(private_libs "")
    set(needs_pc "")
    foreach(need IN LISTS arg_NEEDS)
        string(TOUPPER "${need}" NEEDED)
        string(APPEND needs_header "
#include \"stasis/${need}_version.h\"
#if STASIS_${NEEDED}_VERSION_NUMBER != STASIS_${PART}_VERSION_NUMBER
#error \"${package} ${PROJECT_VERSION} needs the headers of stasis-${need} ${PROJECT_VERSION}\"
#endif
")
        string(APPEND needs_cmake "find_dependency(stasis-${need} ${PROJECT_VERSION} EXACT)\n")
        list(APPEND needs_pc "stasis-${need} = ${PROJECT_VERSION}")
    endforeach()
    list(JOIN needs_pc ", " needs_pc)
    foreach(module IN LISTS arg_MODULES)
        string(REGEX MATCH "^(.*)=(.*)$" matched "${module}")
        string(APPEND needs_cmake "stasis_find_module(${CMAKE_MATCH_1} ${CMAKE_MATCH_2})\n")
        list(APPEND modules_pc "${CMAKE_MATCH_2}")
    endforeach()
    list(JOIN modules_pc ", " modules_pc)
    if(arg_THREADS)
        string(APPEND needs_cmake "find_dependency(Threads)\n")
        set(private_libs "-pthread")
    endif()
endmacro()

macro(_stasis_install)
    set(component COMPONENT ${package})
    install(TARGETS ${installed} EXPORT ${package}
        ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" ${component}
        LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" ${component})
    install(EXPORT ${package} NAMESPACE Stasis:: FILE ${package}-targets.cmake
        DESTINATION "${CMAKE_INSTALL_LIBDIR}/cmake/${package}" ${component})
    install(FILES "${CMAKE_CURRENT_BINARY_DIR}/${package}-config.cmake"
        "${CMAKE_CURRENT_BINARY_DIR}/${package}-config-version.cmake"
        DESTINATION "${CMAKE_INSTALL_LIBDIR}/cmake/${package}" ${component})
    install(FILES "${CMAKE_CURRENT_BINARY_DIR}/${package}.pc"
        DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig" ${component})
    install(FILES "${own_include}/stasis/${part}_version.h"
        DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/stasis" ${component})
    if(arg_HEADERS)
        list(TRANSFORM arg_HEADERS PREPEND "${arg_INCLUDE}/stasis/")
        install(FILES ${arg_HEADERS} DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/stasis" ${component})
    else()
        install(DIRECTORY "${arg_INCLUDE}/" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" ${component})
    endif()
endmacro()

# stasis_add_umbrella(): behind all libraries, the CMake package "stasis", which finds them or some of
# them, and its pkg-config file.
function(stasis_add_umbrella)
    get_property(stasis_parts_built GLOBAL PROPERTY STASIS_LIBRARIES)
    set(into "${CMAKE_INSTALL_LIBDIR}/cmake/stasis")
    set(made "${CMAKE_CURRENT_BINARY_DIR}")
    _stasis_find_prefix()
    list(TRANSFORM stasis_parts_built REPLACE "(.+)" "stasis-\\1 = ${PROJECT_VERSION}"
        OUTPUT_VARIABLE parts_pc)
    list(JOIN parts_pc ", " parts_pc)
    configure_file("${stasis_templates}/umbrella.pc.in" "${made}/stasis.pc" @ONLY)
    configure_package_config_file("${stasis_templates}/umbrella-config.cmake.in"
        "${made}/stasis-config.cmake" INSTALL_DESTINATION "${into}"
        NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
    write_basic_package_version_file("${made}/stasis-config-version.cmake"
        COMPATIBILITY ExactVersion)
    install(FILES "${made}/stasis-config.cmake" "${made}/stasis-config-version.cmake"
        DESTINATION "${into}" COMPONENT stasis)
    install(FILES "${made}/stasis.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig"
        COMPONENT stasis)
endfunction()
