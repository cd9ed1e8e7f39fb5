/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The messages of the programs, as a user meets them: each is one line that begins with the
 * program's name, names the object and the remedy, holds no raw byte, and goes with the exit status
 * of its error. These need no KVM; test_sites.py counts what the other tests provoke.
 */
#include "tests/tools/rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state-ser/snap/header.h"
#include "stasis/field.h"

#define ARGS_MAX 8

#define INSPECT "snapshot-inspect"
#define VMM     "vmm"

/* Paths in the test's folder: what a row names "@x" is the file x there. */
struct row {
    enum stasis_err code;
    const char *args[ARGS_MAX];
    const char *object; /* the message names it */
    const char *remedy;
    const char *output; /* standard output; NULL: kept */
    const char *input;  /* opened to be written: standard input, which then cannot be read */
};

static const struct row rows[] = {
    /* usage */
    {STASIS_ERR_ARG, {INSPECT}, "a command", "see snapshot-inspect --help"},
    {STASIS_ERR_ARG, {INSPECT, "inof"}, "inof is not a command", "there are info, json"},
    {STASIS_ERR_ARG, {INSPECT, "--inof"}, "--inof is not an option", "see snapshot-inspect --help"},
    {STASIS_ERR_ARG, {INSPECT, "help", "inof"}, "inof is not a command", "there are info, json"},
    {STASIS_ERR_ARG, {INSPECT, "info"}, "FILE", "usage: snapshot-inspect info"},
    {STASIS_ERR_ARG, {INSPECT, "info", "-x", "@a"}, "-x is not an option", "help info"},
    {STASIS_ERR_ARG, {INSPECT, "core", "@a"}, "-o is missing", "name the core to write"},
    {STASIS_ERR_ARG, {INSPECT, "core", "-o"}, "--output needs a value", "--output OUT"},
    {STASIS_ERR_ARG, {INSPECT, "core", "-o", "-", "@a"}, "-: ", "name a file"},
    {STASIS_ERR_ARG, {INSPECT, "memory", "--svg", "-", "@a"}, "-: ", "name a file"},
    {STASIS_ERR_ARG,
     {INSPECT, "extract", "--gpa", "x", "--len", "1", "@a"},
     "--gpa: x",
     "write 4096, 0x1000 or 4K"},
    {STASIS_ERR_ARG,
     {INSPECT, "extract", "--gpa", "0", "@a"},
     "--len is missing",
     "; give --len BYTES"},
    {STASIS_ERR_ARG, {INSPECT, "migrate", "--to", "9.9", "@a", "@new"}, "9.9", "0.1.0"},
    {STASIS_ERR_ARG, {INSPECT, "info", "@"}, "/", "name a snapshot file"},
    {STASIS_ERR_ARG, {VMM}, "nothing to run", "give --kernel FILE, --demo or --restore FILE"},
    {STASIS_ERR_ARG,
     {VMM, "--restor", "@a"},
     "--restor is not an option",
     "did you mean --restore?"},
    {STASIS_ERR_ARG,
     {VMM, "@a"},
     "/a is not an option",
     "; to thaw a snapshot give --restore FILE"},
    {STASIS_ERR_ARG, {VMM, "--demo", "--memory"}, "--memory needs a value", "--memory size_mib="},
    {STASIS_ERR_ARG, {VMM, "--demo", "--memory", "many"}, "size_mib=many", "give"},
    {STASIS_ERR_ARG, {VMM, "--kernel", "@none"}, "/none", "give a readable file by --kernel"},
    {STASIS_ERR_ARG, {VMM, "--kernel", "@text"}, "/text is not a kernel", "give a"},
    {STASIS_ERR_ARG, {VMM, "--demo", "--initrd", "@"}, "is a directory", "give a regular file"},
    {STASIS_ERR_ARG, {VMM, "--demo", "--snapshot-out", "@none/x"}, "/none/x", "name a file"},
    {STASIS_ERR_ARG, {VMM, "--restore", "@a", "--metrics", "@a"}, "/a", "name another file"},
    {STASIS_ERR_ARG, {VMM, "--restore", "@"}, "/", "name a snapshot file"},
    /* a name that leads nowhere */
    {STASIS_ERR_NOT_FOUND, {INSPECT, "info", "@none"}, "/none: No such file", "; check the name"},
    {STASIS_ERR_NOT_FOUND, {INSPECT, "diff", "@a", "@none"}, "/none: No such file", "; check the"},
    {STASIS_ERR_NOT_FOUND, {INSPECT, "ring", "@none"}, "/none: No such file", "; check the name"},
    {STASIS_ERR_NOT_FOUND, {VMM, "--restore", "@none"}, "/none: No such file", "; check the name"},
    /* a damaged file */
    {STASIS_ERR_CORRUPT, {INSPECT, "info", "@text"}, "/text: not a Stasis", "use another copy"},
    {STASIS_ERR_CORRUPT, {INSPECT, "verify", "@bad"}, "/bad: ", "use another copy"},
    {STASIS_ERR_CORRUPT, {INSPECT, "verify", "@cut"}, "/cut: ", "use another copy"},
    {STASIS_ERR_CORRUPT, {INSPECT, "ring", "@a"}, "/a: ", ""},
    {STASIS_ERR_CORRUPT, {VMM, "--restore", "@text"}, "/text: not a Stasis", "use another copy"},
    {STASIS_ERR_CORRUPT, {VMM, "--restore", "@bad"}, "/bad: ", "use another copy"},
    {STASIS_ERR_CORRUPT, {VMM, "--restore", "@cut"}, "/cut: ", "use another copy"},
    /* a file of a program that is newer */
    {STASIS_ERR_VERSION, {INSPECT, "info", "@newer"}, "/newer: ", "; use "},
    {STASIS_ERR_VERSION, {INSPECT, "verify", "@newer"}, "/newer: ", "; use "},
    {STASIS_ERR_VERSION, {VMM, "--restore", "@newer"}, "/newer: ", "; use "},
    /* what cannot be read, or written */
    {STASIS_ERR_READ, {INSPECT, "info", "-"}, "standard input", "check", .input = "/dev/null"},
    {STASIS_ERR_READ,
     {VMM, "--restore", "-", "--serial", "none"},
     "standard input",
     "check",
     .input = "/dev/null"},
    {STASIS_ERR_WRITE,
     {INSPECT, "--help"},
     "standard output: No space",
     "write elsewhere",
     "/dev/full"},
    {STASIS_ERR_WRITE, {INSPECT, "json", "@a"}, "standard output: No", "elsewhere", "/dev/full"},
    {STASIS_ERR_WRITE, {INSPECT, "schema"}, "standard output: No", "elsewhere", "/dev/full"},
    {STASIS_ERR_WRITE, {INSPECT, "diff", "@a", "@a"}, "standard output", "elsewhere", "/dev/full"},
    {STASIS_ERR_WRITE, {VMM, "--version"}, "standard output: No", "elsewhere", "/dev/full"},
    {STASIS_ERR_WRITE, {INSPECT, "core", "-o", "@none/x", "@a"}, "/none/x", "name a folder"},
    {STASIS_ERR_WRITE,
     {INSPECT, "migrate", "--to", "0.1.0", "@a", "@none/x"},
     "/none/x",
     "name a folder"},
};

static struct run run;

/* "@name" is a path in the folder. */
static const char *expand(const char *arg, char *room, size_t size)
{
    if (!arg || arg[0] != '@')
        return arg;
    snprintf(room, size, "%s", in_folder(arg + 1));
    return room;
}

/* The programs lie beside the test, and beside each other. */
static const char *program_path(const char *name)
{
    static char path[4096];

    snprintf(path, sizeof(path), "%s", inspect_path());
    *strrchr(path, '/') = '\0';
    snprintf(path + strlen(path), sizeof(path) - strlen(path), "/%s", name);
    return path;
}

static void run_row(const struct row *row)
{
    char paths[ARGS_MAX][256];
    const char *argv[ARGS_MAX + 1] = {0};
    struct setup setup = {0};

    argv[0] = program_path(row->args[0]);
    for (size_t i = 1; i < ARGS_MAX; i++)
        argv[i] = expand(row->args[i], paths[i], sizeof(paths[i]));
    if (row->output)
        setup.out = open(row->output, O_WRONLY | O_CLOEXEC);
    if (row->input)
        setup.in = open(row->input, O_WRONLY | O_CLOEXEC);
    run_program(&run, &setup, argv);
    if (setup.out)
        close(setup.out);
    if (setup.in)
        close(setup.in);
}

/* Whole lines of text that a terminal shows, each beginning with the program's name. */
static void check_lines(const char *name, const char *text)
{
    size_t len = strlen(text);
    uint32_t code = 0;
    bool begins = true;

    assert_true(len && text[len - 1] == '\n');
    for (size_t at = 0, n; at < len; at += n) {
        if (begins && (strncmp(text + at, name, strlen(name)) != 0 ||
                       strncmp(text + at + strlen(name), ": ", 2) != 0))
            fail_msg("does not begin with the program's name: %s", text + at);
        n = stasis_utf8_decode(text + at, len - at, &code);
        begins = text[at] == '\n';
        if (begins)
            n = 1;
        else if (!n || !stasis_char_shown(code))
            fail_msg("a raw byte, 0x%02x: %s", (unsigned char)text[at], text);
    }
}

/* What is wrong with the message of the row, or NULL. */
static const char *fault_of(const struct row *row)
{
    size_t len = strlen(run.err);

    if (run.status != stasis_err_exit_status(row->code))
        return "has another exit status";
    if (strchr(run.err, '\n') != run.err + len - 1)
        return "is not one line";
    if (!strstr(run.err, row->object))
        return "does not name the object";
    if (!strstr(run.err, row->remedy))
        return "does not name the remedy";
    if (strchr(".!", run.err[len - 2]) && !strstr(run.err, "FILE..."))
        return "ends with a full stop";
    return NULL;
}

static void every_message_has_the_form_of_a_message(void **state)
{
    uint32_t codes = 0;
    unsigned count = 0;
    unsigned faults = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *fault;

        run_row(&rows[i]);
        check_lines(rows[i].args[0], run.err);
        fault = fault_of(&rows[i]);
        faults += fault != NULL;
        if (fault)
            print_error("row %zu %s; status %d, \"%s\", \"%s\": %s", i, fault, run.status,
                        rows[i].object, rows[i].remedy, run.err);
        codes |= UINT32_C(1) << -rows[i].code;
    }
    for (; codes; codes &= codes - 1)
        count++;
    printf("%zu messages of %u errors\n", sizeof(rows) / sizeof(rows[0]), count);
    assert_int_equal(faults, 0);
}

/* A newline, an escape sequence, a direction and its end, a bare byte. */
#define HOSTILE "@h\n\x1b[31m\xe2\x81\xa6x\xe2\x81\xa9\xff"

static void hostile_names_are_escaped(void **state)
{
    static const char *const cases[][ARGS_MAX] = {
        {INSPECT, HOSTILE},
        {INSPECT, ("--" HOSTILE)},
        {INSPECT, "help", HOSTILE},
        {INSPECT, "info", HOSTILE},
        {INSPECT, "info", ("--" HOSTILE)},
        {INSPECT, "json", HOSTILE},
        {INSPECT, "verify", HOSTILE},
        {INSPECT, "memory", HOSTILE},
        {INSPECT, "extract", "--gpa", HOSTILE, "--len", "1", "@a"},
        {INSPECT, "extract", "--gpa", "0", "--len", HOSTILE, "@a"},
        {INSPECT, "core", "-o", (HOSTILE "/x"), "@a"},
        {INSPECT, "diff", HOSTILE, "@a"},
        {INSPECT, "diff", "@a", HOSTILE},
        {INSPECT, "schema", HOSTILE},
        {INSPECT, "migrate", "--to", HOSTILE, "@a", "@new"},
        {INSPECT, "migrate", "--to", "0.1.0", HOSTILE, "@new"},
        {INSPECT, "ring", HOSTILE},
        {VMM, HOSTILE},
        {VMM, ("--" HOSTILE)},
        {VMM, "--demo", "--memory", HOSTILE},
        {VMM, "--demo", "--memory", (HOSTILE "=1")},
        {VMM, "--demo", "--cpu", HOSTILE},
        {VMM, "--demo", "--board", HOSTILE},
        {VMM, "--demo", "--serial", HOSTILE},
        {VMM, "--demo", "--serial", ("file:" HOSTILE "/x")},
        {VMM, "--demo", "--snapshot-out", (HOSTILE "/x")},
        {VMM, "--demo", "--metrics", (HOSTILE "/x")},
        {VMM, "--kernel", HOSTILE},
        {VMM, "--demo", "--initrd", HOSTILE},
        {VMM, "--restore", HOSTILE},
        {INSPECT, "memory", "--svg", (HOSTILE "/x"), "@a"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct row row = {.code = STASIS_OK};

        memcpy(row.args, cases[i], sizeof(cases[i]));
        run_row(&row);
        check_lines(row.args[0], run.err);
        if (run.status != 2 && run.status != 7)
            fail_msg("case %zu: status %d: %s", i, run.status, run.err);
    }
}

static int setup(void **state)
{
    struct built built;
    struct image image;

    if (setup_folder(state))
        return -1;
    built_machine(&built);
    save_to(&built, in_folder("a"));
    image = image_of(&built);
    built_fini(&built);
    write_file(in_folder("text"), "hello\n", 6);
    write_file(in_folder("cut"), image.bytes, image.len / 2);
    image.bytes[section_offset(image_section(&image, STASIS_SECTION_STATE)) + 9] ^= 1;
    write_file(in_folder("bad"), image.bytes, image.len);
    image.bytes[section_offset(image_section(&image, STASIS_SECTION_STATE)) + 9] ^= 1;
    image.bytes[STASIS_HDR_VERSION]++;
    image_reseal(&image);
    write_file(in_folder("newer"), image.bytes, image.len);
    image_fini(&image);
    return 0;
}

static int teardown(void **state)
{
    run_fini(&run);
    return teardown_folder(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_has_the_form_of_a_message),
        cmocka_unit_test(hostile_names_are_escaped),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
