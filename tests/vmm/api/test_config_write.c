/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Configurations as JSON, and back: random ones, made by the table.
 */
#include "vmm/api/config.h"

#include "support/cmocka_all.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/api/options_internal.h"

#define ROUNDS 2000

static uint64_t seed;

static uint64_t draw(uint64_t count)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % count;
}

/* ---- random configurations ---- */

static void draw_text(char *text, size_t max)
{
    static const char *const letters[] = {
        "a",  "Z", "0",  " ",    ",", "=",        "\"",
        "\\", "'", "\n", "\x01", "/", "\xc3\xa4", "\xf0\x9f\x98\x80"};
    size_t count = 1 + draw(max / 4);

    *text = '\0';
    for (size_t i = 0; i < count; i++)
        strcat(text, letters[draw(sizeof(letters) / sizeof(letters[0]))]);
}

static unsigned count_words(const struct stasis_option_key *key)
{
    unsigned count = 0;

    while (key->words[count])
        count++;
    return count;
}

static void draw_out(const struct stasis_option_key *key, char *text)
{
    unsigned word = (unsigned)draw(count_words(key));
    char path[128];

    draw_text(path, 100);
    sprintf(text, "%s%s%s", key->words[word], word > 1 ? ":" : "", word > 1 ? path : "");
}

static void draw_level(const struct stasis_option_key *key, char *text)
{
    if (draw(3))
        sprintf(text, "zlib:%d", (int)(key->min + draw(key->max - key->min + 1)));
    else
        sprintf(text, "%s", key->words[draw(2)]);
}

/* Text of a value for the key. */
static void draw_value(const struct stasis_option_key *key, char *text)
{
    switch (key->kind) {
    case STASIS_OPTION_TEXT:
    case STASIS_OPTION_EMPTY_TEXT:
        if (!strcmp(key->arg, "RELEASE"))
            strcpy(text, "0.1.0");
        else if (!strcmp(key->arg, "NAME"))
            sprintf(text, "disk-%d_", (int)draw(1000000000));
        else
            draw_text(text, 200);
        break;
    case STASIS_OPTION_NUMBER:
    case STASIS_OPTION_SIZE:
    case STASIS_OPTION_TIME:
        sprintf(text, "%" PRIu64, key->min + draw(key->max - key->min + 1));
        break;
    case STASIS_OPTION_FD:
        sprintf(text, "%d", (int)(3 + draw(INT_MAX - 3)));
        break;
    case STASIS_OPTION_WORD:
    case STASIS_OPTION_SWITCH:
        strcpy(text, key->words[draw(count_words(key))]);
        break;
    case STASIS_OPTION_LEVEL:
        draw_level(key, text);
        break;
    case STASIS_OPTION_OUT:
        draw_out(key, text);
        break;
    case STASIS_OPTION_TEXTS:
        strcpy(text, "disk0");
        break;
    case STASIS_OPTION_NOTES:
        sprintf(text, "key%d=", (int)draw(1000000000));
        strcat(text, draw(2) ? "b, \"c\"=\xc3\xa4" : "");
        break;
    }
}

static void fill_key(const struct stasis_option *option, const struct stasis_option_key *key,
                     void *config)
{
    uint64_t times = key->kind == STASIS_OPTION_NOTES ? draw(4) : 1;
    struct stasis_error err;
    char text[400];

    while (times--) {
        draw_value(key, text);
        if (stasis_option_fits(option, key, config) && stasis_option_set(key, config, text, &err))
            fail_msg("%s %s %s: %s", option->name, key->name, text, err.msg);
    }
}

static void fill_option(unsigned place, struct stasis_vmm_config *config)
{
    const struct stasis_option *option = &stasis_config_options[place];

    if (!option->keys) {
        *((bool *)config + option->flag) = true;
        return;
    }
    for (unsigned i = 0; i < option->items || !i; i++) {
        void *item = stasis_option_item(option, config, i);

        if (!option->repeats)
            fill_key(option, option->keys, item);
        for (const struct stasis_option_key *key = option->keys + 1; key->name; key++)
            if (draw(2))
                fill_key(option, key, item);
        if (!draw(3))
            break;
    }
}

/* Names are random, and may be the same. */
static void fit_disks(struct stasis_vmm_config *config)
{
    for (unsigned i = 0; i < STASIS_VMM_BLOCKS_MAX && config->block[i].path; i++) {
        free((char *)(uintptr_t)config->block[i].id);
        config->block[i].id = i % 2 ? strdup((const char *[]){"a", "b", "c", "d"}[i / 2]) : NULL;
        config->block[i].readonly = STASIS_VMM_BLOCK_READONLY_ON;
        config->block[i].block_size = i % 3 ? 512 : 4096;
    }
    if (!config->block[0].path || !config->restore.path)
        stasis_option_clear_all(&stasis_config_options[STASIS_CONFIG_ALLOW], config);
}

/* 0.1.0 has one vCPU, no later CPU model, and none of the devices of today's board. */
static void fit_target(struct stasis_vmm_config *config)
{
    config->snapshot.save.digest = STASIS_VMM_DIGEST_NONE;
    config->snapshot.save.drop = STASIS_VMM_DROP_ALLOW;
    config->vcpus = config->vcpus ? 1 : 0;
    config->cpu = config->cpu ? STASIS_VMM_CPU_BASELINE : STASIS_VMM_CPU_HOST;
    free((char *)(uintptr_t)config->board_release);
    config->board_release = NULL;
}

/* A root is no random text, and a release that is a target has no digests and no layers. */
static void fit_snapshots(struct stasis_vmm_config *config)
{
    if (config->restore.root) {
        free((char *)(uintptr_t)config->restore.root);
        config->restore.root =
            strdup("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff");
    }
    if (!config->restore.path) {
        free((char *)(uintptr_t)config->restore.layers);
        config->restore.layers = NULL;
    }
    if (config->snapshot.save.target)
        fit_target(config);
    if (config->snapshot.save.parent) {
        free((char *)(uintptr_t)config->snapshot.save.parent);
        config->snapshot.save.parent = config->snapshot.save.target ? NULL : strdup("auto");
    }
}

/* One of its choices is drawn, and an address of one station. */
static void fit_net(struct stasis_vmm_config *config)
{
    const struct stasis_option *option = &stasis_config_options[STASIS_CONFIG_NET];
    const unsigned choice = (unsigned)draw(option->choices);

    if (!config->net.tap)
        return;
    fill_key(option, &option->keys[choice], config);
    for (unsigned i = 0; i < option->choices; i++)
        if (i != choice)
            stasis_option_clear(&option->keys[i], config);
    free((char *)(uintptr_t)config->net.mac);
    config->net.mac = draw(2) ? strdup("02:00:00:00:00:aF") : NULL;
}

static void fill(struct stasis_vmm_config *config)
{
    static const unsigned guests[] = {STASIS_CONFIG_KERNEL, STASIS_CONFIG_DEMO,
                                      STASIS_CONFIG_RESTORE};
    unsigned guest = guests[draw(3)];
    enum stasis_option_guest other =
        guest == STASIS_CONFIG_RESTORE ? STASIS_OPTION_NEW_GUEST : STASIS_OPTION_THAWED_GUEST;

    fill_option(guest, config);
    for (unsigned i = STASIS_CONFIG_RESTORE + 1; i < STASIS_CONFIG_COUNT; i++)
        if (stasis_config_options[i].guest != other && draw(2))
            fill_option(i, config);
    if (!config->snapshot.save.target)
        config->snapshot.save.drop = STASIS_VMM_DROP_REFUSE;
    if (config->on_crash.snapshot)
        config->on_crash.exit = false;
    if (guest == STASIS_CONFIG_RESTORE)
        config->on_reset = STASIS_VMM_ON_RESET_EXIT;
    fit_disks(config);
    fit_net(config);
    fit_snapshots(config);
}

/* ---- equality ---- */

static bool are_equal_texts(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

static bool are_equal_notes(const struct stasis_notes *a, const struct stasis_notes *b)
{
    size_t count = a ? stasis_notes_count(a) : 0;

    if (count != (b ? stasis_notes_count(b) : 0))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct stasis_note note = stasis_notes_at(a, i);

        if (strcmp(note.value, stasis_notes_get(b, note.key)) != 0)
            return false;
    }
    return true;
}

/* A default that is written has become the number that it stands for. */
static bool are_equal_numbers(const struct stasis_option_key *key, uint64_t a, uint64_t b)
{
    return a == b || (!a && b == key->value);
}

#define TEXT(config, offset) (*stasis_option_text_at(config, offset))

static bool are_equal_lists(const struct stasis_option_key *key, const void *a, const void *b)
{
    for (size_t i = 0; i < key->min; i++)
        if (!are_equal_texts((&TEXT(a, key->offset))[i], (&TEXT(b, key->offset))[i]))
            return false;
    return true;
}

static bool are_equal_keys(const struct stasis_option_key *key, const void *a, const void *b)
{
    size_t at = key->offset;

    switch (key->kind) {
    case STASIS_OPTION_TEXT:
    case STASIS_OPTION_EMPTY_TEXT:
        return are_equal_texts(TEXT(a, at), TEXT(b, at));
    case STASIS_OPTION_TIME:
        return *stasis_option_number_at(a, at) == *stasis_option_number_at(b, at) &&
               *stasis_option_bool_at(a, key->also) == *stasis_option_bool_at(b, key->also);
    case STASIS_OPTION_NUMBER:
    case STASIS_OPTION_SIZE:
    case STASIS_OPTION_LEVEL:
        return are_equal_numbers(key, *stasis_option_number_at(a, at),
                                 *stasis_option_number_at(b, at));
    case STASIS_OPTION_FD:
        return *stasis_option_fd_at(a, at) == *stasis_option_fd_at(b, at);
    case STASIS_OPTION_SWITCH:
        return *stasis_option_bool_at(a, at) == *stasis_option_bool_at(b, at);
    case STASIS_OPTION_WORD:
        return *stasis_option_word_at(a, at) == *stasis_option_word_at(b, at);
    case STASIS_OPTION_OUT:
        return *stasis_option_word_at(a, at) == *stasis_option_word_at(b, at) &&
               are_equal_texts(TEXT(a, key->also), TEXT(b, key->also));
    case STASIS_OPTION_TEXTS:
        return are_equal_lists(key, a, b);
    case STASIS_OPTION_NOTES:
        break;
    }
    return are_equal_notes(*stasis_option_notes_at(a, at), *stasis_option_notes_at(b, at));
}

static void assert_equal(const struct stasis_vmm_config *a, const struct stasis_vmm_config *b)
{
    for (size_t i = 0; i < STASIS_CONFIG_COUNT; i++) {
        const struct stasis_option *option = &stasis_config_options[i];

        if (!option->keys)
            assert_int_equal(*((const bool *)a + option->flag), *((const bool *)b + option->flag));
        for (unsigned item = 0; item < option->items || !item; item++)
            for (const struct stasis_option_key *key = option->keys; key && key->name; key++)
                if (!are_equal_keys(key, stasis_option_item(option, a, item),
                                    stasis_option_item(option, b, item)))
                    fail_msg("%s %u %s differs", option->name, item, key->name);
    }
}

static void random_configurations_come_back(void **state)
{
    (void)state;
    for (unsigned round = 1; round <= ROUNDS; round++) {
        struct stasis_vmm_config config = {.demo = false}, back = {.demo = false};
        char *text = NULL, *again = NULL;
        struct stasis_error err;
        size_t len, again_len;

        seed = round * UINT64_C(0x9e3779b97f4a7c15);
        fill(&config);
        if (stasis_vmm_config_write(&config, &text, &len, &err))
            fail_msg("round %u: %s", round, err.msg);
        assert_int_equal(strlen(text), len);
        if (stasis_vmm_config_read(text, len, &back, &err))
            fail_msg("round %u: %s: %s", round, err.msg, text);
        assert_equal(&config, &back);
        assert_int_equal(stasis_vmm_config_write(&back, &again, &again_len, &err), 0);
        assert_string_equal(text, again);
        stasis_vmm_config_fini(&config);
        stasis_vmm_config_fini(&back);
        free(text);
        free(again);
    }
}

/* ---- single ones ---- */

static void defaults_are_written(void **state)
{
    static const char expected[] = "{\n"
                                   "  \"demo\": true,\n"
                                   "  \"memory\": {\n    \"size_mib\": 256\n  },\n"
                                   "  \"vcpu\": {\n    \"num\": 1\n  },\n"
                                   "  \"cpu\": {\n    \"model\": \"host\"\n  },\n"
                                   "  \"rtc\": {\n    \"model\": \"cmos\"\n  },\n"
                                   "  \"on_reset\": {\n    \"action\": \"exit\"\n  },\n"
                                   "  \"serial\": {\n    \"out\": \"stdio\"\n  },\n"
                                   "  \"guest_errors\": {\n    \"action\": \"count\",\n"
                                   "    \"of\": \"all\"\n  },\n"
                                   "  \"log\": {\n    \"level\": \"none\",\n"
                                   "    \"time\": \"on\"\n  }\n"
                                   "}\n";
    const struct stasis_vmm_config config = {.demo = true, .serial.limit = 5};
    struct stasis_error err;
    char *text;
    size_t len;

    (void)state;
    assert_int_equal(stasis_vmm_config_write(&config, &text, &len, &err), 0);
    assert_string_equal(text, expected);
    free(text);
}

static void assert_serial(struct stasis_vmm_serial serial, const char *words)
{
    const struct stasis_vmm_config config = {.demo = true, .serial = serial};
    struct stasis_error err;
    char *text;
    size_t len;

    assert_int_equal(stasis_vmm_config_write(&config, &text, &len, &err), 0);
    if (!strstr(text, words))
        fail_msg("\"%s\" lacks \"%s\"", text, words);
    free(text);
}

static void bounds_of_an_output_have_defaults(void **state)
{
    (void)state;
    assert_serial((struct stasis_vmm_serial){.kind = STASIS_VMM_SERIAL_FILE, .path = "a"},
                  "\"out\": \"file:a\",\n    \"limit\": 67108864\n  }");
    assert_serial((struct stasis_vmm_serial){.kind = STASIS_VMM_SERIAL_RING, .path = "a"},
                  "\"out\": \"ring:a\",\n    \"size\": 1048576\n  }");
    assert_serial((struct stasis_vmm_serial){.kind = STASIS_VMM_SERIAL_PIPE, .path = "a"},
                  "\"out\": \"pipe:a\"\n  }");
}

static void refuse(const struct stasis_vmm_config *config, const char *message)
{
    struct stasis_error err;
    char *text = NULL;
    size_t len;

    assert_int_equal(stasis_vmm_config_write(config, &text, &len, &err), STASIS_ERR_ARG);
    assert_null(text);
    assert_string_equal(err.msg, message);
}

static void what_json_cannot_hold_is_refused(void **state)
{
    static char long_path[5000];

    (void)state;
    memset(long_path, 'x', sizeof(long_path) - 1);
    refuse(&(struct stasis_vmm_config){.demo = true, .initrd_path = "a\xff"},
           "initrd.path is no UTF-8, which JSON cannot hold; give it as UTF-8");
    refuse(&(struct stasis_vmm_config){.demo = true,
                                       .serial = {.kind = STASIS_VMM_SERIAL_FILE, .path = "\xc3"}},
           "serial.out is no UTF-8, which JSON cannot hold; give it as UTF-8");
    refuse(
        &(struct stasis_vmm_config){.demo = true,
                                    .serial = {.kind = STASIS_VMM_SERIAL_FILE, .path = long_path}},
        "the name in serial.out is too long; give a shorter one");
    refuse(&(struct stasis_vmm_config){.demo = true, .cpu = (enum stasis_vmm_cpu)99},
           "the configuration's cpu is out of range; see stasis/vmm.h");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_configurations_come_back),
        cmocka_unit_test(defaults_are_written),
        cmocka_unit_test(bounds_of_an_output_have_defaults),
        cmocka_unit_test(what_json_cannot_hold_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
