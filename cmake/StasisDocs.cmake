# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# The manual pages, if scdoc is there to make them, and what is installed to be read. Included last.
find_program(STASIS_SCDOC scdoc)
set(stasis_manuals snapshot-inspect.1)
if(TARGET vmm)
    list(APPEND stasis_manuals vmm.1)
endif()
if(STASIS_SCDOC)
    file(MAKE_DIRECTORY "${PROJECT_BINARY_DIR}/man")
    foreach(manual IN LISTS stasis_manuals)
        set(page "${PROJECT_BINARY_DIR}/man/${manual}")
        add_custom_command(OUTPUT "${page}"
            COMMAND "${STASIS_SCDOC}" < "${PROJECT_SOURCE_DIR}/docs/${manual}.scd" > "${page}"
            DEPENDS "${PROJECT_SOURCE_DIR}/docs/${manual}.scd" VERBATIM)
        list(APPEND stasis_pages "${page}")
    endforeach()
    add_custom_target(manuals ALL DEPENDS ${stasis_pages})
    install(FILES ${stasis_pages} DESTINATION "${CMAKE_INSTALL_MANDIR}/man1" COMPONENT doc)
else()
    message(STATUS "No manual pages: scdoc is missing")
endif()

set(stasis_docs "${CMAKE_INSTALL_DATAROOTDIR}/doc/stasis")
install(FILES "${PROJECT_SOURCE_DIR}/README.md" "${PROJECT_SOURCE_DIR}/CHANGELOG.md"
    "${PROJECT_SOURCE_DIR}/LICENSE-APACHE" "${PROJECT_SOURCE_DIR}/LICENSE-BSD-3-CLAUSE"
    DESTINATION "${stasis_docs}" COMPONENT doc)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/docs/" DESTINATION "${stasis_docs}/docs" COMPONENT doc
    FILES_MATCHING PATTERN "*.md")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/examples" DESTINATION "${stasis_docs}" COMPONENT doc)
