/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/boot/x86/protocols.h"

#include "support/cmocka_all.h"

#include <string.h>

#include "vmm/boot/boot_rig.h"

#define FILE_LEN 40000

static uint8_t bytes[FILE_LEN];
static struct boot_rig_file raw;
static struct stasis_boot_file file;

static void open_bytes(size_t len)
{
    boot_rig_file_init(&raw, bytes, len);
    assert_int_equal(stasis_boot_file_init(&file, "kernel", raw.path, 0, NULL), 0);
}

static void close_bytes(void)
{
    stasis_boot_file_fini(&file);
    boot_rig_file_fini(&raw);
}

static const char *detect(size_t len)
{
    const char *name;

    open_bytes(len);
    name = stasis_multiboot_detect(&file);
    close_bytes();
    return name;
}

/* Where a header is put, and what is seen then. */
static const struct {
    uint32_t magic;
    uint32_t words;
    size_t at;
    size_t len;
    const char *name;
} headers[] = {
    {0x1badb002, 3, 0, 12, "Multiboot"},
    {0x1badb002, 3, 0, 11, NULL},
    {0x1badb002, 3, 4, FILE_LEN, "Multiboot"},
    {0x1badb002, 3, 2, FILE_LEN, NULL}, /* not aligned */
    {0x1badb002, 3, 8180, FILE_LEN, "Multiboot"},
    {0x1badb002, 3, 8184, FILE_LEN, NULL}, /* reaches beyond the first 8 KiB */
    {0xe85250d6, 4, 0, 16, "Multiboot2"},
    {0xe85250d6, 4, 0, 15, NULL},
    {0xe85250d6, 4, 4, FILE_LEN, NULL},
    {0xe85250d6, 4, 32752, FILE_LEN, "Multiboot2"},
    {0xe85250d6, 4, 32760, FILE_LEN, NULL}, /* reaches beyond the first 32 KiB */
};

static void multiboot_is_found_where_it_may_be(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        uint32_t words[4] = {headers[i].magic, 3, 5, 0};
        const char *name;

        words[headers[i].words - 1] = 0;
        words[headers[i].words - 1] = 0u - words[0] - words[1] - words[2];
        memset(bytes, 0, sizeof(bytes));
        memcpy(bytes + headers[i].at, words, headers[i].words * sizeof(words[0]));
        name = detect(headers[i].len);
        if (!headers[i].name != !name || (name && strcmp(name, headers[i].name) != 0))
            fail_msg("row %zu: %s", i, name ? name : "nothing");
        bytes[headers[i].at + headers[i].words * 4 - 1] ^= 1;
        assert_null(detect(headers[i].len)); /* the checksum counts */
    }
}

struct notes {
    Elf64_Nhdr other;
    char other_name[8]; /* "Linux", aligned */
    char other_desc[4]; /* one byte, aligned */
    Elf64_Nhdr pvh;
    char pvh_name[4];
    uint8_t entry[8];
};

static struct notes notes(uint32_t entry_len)
{
    struct notes to = {.other = {6, 1, 18},
                       .other_name = "Linux",
                       .pvh = {4, entry_len, 18},
                       .pvh_name = "Xen",
                       .entry = {0x50, 0x08, 0, 1, 0x77, 0, 0, 0}};
    return to;
}

static bool detect_pvh(const struct notes *content, uint64_t filesz, uint64_t *ret_entry)
{
    const Elf64_Phdr segment = {.p_type = PT_NOTE, .p_offset = 16, .p_filesz = filesz};
    bool found;

    memset(bytes, 0, sizeof(bytes));
    memcpy(bytes + 16, content, sizeof(*content));
    open_bytes(16 + sizeof(*content));
    found = stasis_pvh_detect(&file, &segment, ret_entry);
    close_bytes();
    return found;
}

static void pvh_is_found_behind_other_notes(void **state)
{
    struct notes content = notes(4);
    uint64_t entry = 0;

    (void)state;
    assert_true(detect_pvh(&content, sizeof(content), &entry));
    assert_int_equal(entry, 0x1000850);
    content = notes(8);
    assert_true(detect_pvh(&content, sizeof(content), &entry));
    assert_int_equal(entry, UINT64_C(0x7701000850));
}

static void damaged_notes_state_nothing(void **state)
{
    struct notes content = notes(4);
    uint64_t entry = 7;

    (void)state;
    assert_false(detect_pvh(&content, sizeof(content) - 5, &entry));
    assert_false(detect_pvh(&content, sizeof(content) + 1, &entry)); /* beyond the file */
    assert_false(detect_pvh(&content, UINT64_MAX, &entry));
    content.pvh.n_descsz = 5;
    assert_false(detect_pvh(&content, sizeof(content), &entry));
    content = notes(4);
    content.pvh.n_type = 17;
    assert_false(detect_pvh(&content, sizeof(content), &entry));
    content = notes(4);
    content.pvh_name[0] = 'Y';
    assert_false(detect_pvh(&content, sizeof(content), &entry));
    content = notes(4);
    content.other.n_namesz = UINT32_MAX;
    assert_false(detect_pvh(&content, sizeof(content), &entry));
    content = notes(4);
    content.other.n_descsz = UINT32_MAX;
    assert_false(detect_pvh(&content, sizeof(content), &entry));
    assert_int_equal(entry, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(multiboot_is_found_where_it_may_be),
        cmocka_unit_test(pvh_is_found_behind_other_notes),
        cmocka_unit_test(damaged_notes_state_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
