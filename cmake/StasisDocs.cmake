# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# The manual pages, and what is installed to be read. Included last.

# Seconds from 1970 to the date of the newest release in the changelog, by the Gregorian calendar:
# years begin in March, so that a leap day is the last one.
function(stasis_release_epoch ret)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/CHANGELOG.md")
    file(STRINGS "${PROJECT_SOURCE_DIR}/CHANGELOG.md" headings ENCODING UTF-8
        REGEX "^## .*[0-9]+-[0-9]+-[0-9]+$")
    list(GET headings 0 newest)
    string(REGEX MATCH "([0-9]+)-0?([0-9]+)-0?([0-9]+)$" date "${newest}")
    math(EXPR month "(${CMAKE_MATCH_2} + 9) % 12")
    math(EXPR year "${CMAKE_MATCH_1} - ${month} / 10")
    math(EXPR days "365 * ${year} + ${year} / 4 - ${year} / 100 + ${year} / 400")
    math(EXPR days "${days} + (${month} * 306 + 5) / 10 + ${CMAKE_MATCH_3} - 1 - 719468")
    math(EXPR epoch "86400 * ${days}")
    set(${ret} ${epoch} PARENT_SCOPE)
endfunction()

# The same source gives the same pages, whenever it is built.
if(DEFINED ENV{SOURCE_DATE_EPOCH})
    set(stasis_epoch "$ENV{SOURCE_DATE_EPOCH}")
else()
    stasis_release_epoch(stasis_epoch)
endif()
set(stasis_manuals "")
if(STASIS_TOOLS)
    list(APPEND stasis_manuals snapshot-inspect.1)
endif()
if(STASIS_VMM)
    list(APPEND stasis_manuals vmm.1)
    if(TARGET stasis-docs)
        list(APPEND stasis_manuals vmm-control.7)
    endif()
endif()
if(STASIS_MANUALS AND stasis_manuals)
    file(MAKE_DIRECTORY "${PROJECT_BINARY_DIR}/man")
    foreach(manual IN LISTS stasis_manuals)
        set(page "${PROJECT_BINARY_DIR}/man/${manual}")
        set(source "${PROJECT_SOURCE_DIR}/docs/${manual}.scd")
        if(manual STREQUAL "vmm-control.7") # its lists are those of the program
            set(made "${page}.scd")
            add_custom_command(OUTPUT "${made}" COMMAND stasis-docs man < "${source}" > "${made}"
                DEPENDS stasis-docs "${source}" VERBATIM)
            set(source "${made}")
        endif()
        add_custom_command(OUTPUT "${page}"
            COMMAND "${CMAKE_COMMAND}" -E env SOURCE_DATE_EPOCH=${stasis_epoch} "${STASIS_SCDOC}" < "${source}" > "${page}"
            DEPENDS "${source}" VERBATIM)
        list(APPEND stasis_pages "${page}")
        string(REGEX MATCH "[0-9]$" section "${manual}")
        install(FILES "${page}" DESTINATION "${CMAKE_INSTALL_MANDIR}/man${section}" COMPONENT doc)
    endforeach()
    add_custom_target(manuals ALL DEPENDS ${stasis_pages})
endif()

set(stasis_docs "${CMAKE_INSTALL_DATAROOTDIR}/doc/stasis")
install(FILES "${PROJECT_SOURCE_DIR}/README.md" "${PROJECT_SOURCE_DIR}/CHANGELOG.md"
    "${PROJECT_SOURCE_DIR}/LICENSE-APACHE" "${PROJECT_SOURCE_DIR}/LICENSE-BSD-3-CLAUSE"
    DESTINATION "${stasis_docs}" COMPONENT doc)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/docs/" DESTINATION "${stasis_docs}/docs" COMPONENT doc
    FILES_MATCHING PATTERN "*.md" PATTERN "*.svg" PATTERN "*.png")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/examples" DESTINATION "${stasis_docs}" COMPONENT doc)
