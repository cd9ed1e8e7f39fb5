/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What a host must have to thaw a guest, from the records alone: on any machine. For a host's
 * answer there is `vmm --restore FILE --dry-run`.
 */
#include <inttypes.h>
#include <string.h>

#include "tools/inspect.h"
#include "tools/requires.h"
#include "tools/text.h"

#define LABEL "  %-13s"
#define WIDTH 80u

/* ---- words that are folded into lines ---- */

struct words {
    FILE *out;
    size_t column;
};

static struct words begin(FILE *out, const char *label)
{
    return (struct words){.out = out, .column = (size_t)fprintf(out, LABEL, label)};
}

static void put_word(struct words *words, const char *word)
{
    size_t len = strlen(word);

    if (words->column + 1 + len > WIDTH) {
        fputc('\n', words->out);
        words->column = (size_t)fprintf(words->out, LABEL, "");
    }
    words->column += (size_t)fprintf(words->out, " %s", word);
}

static void end(struct words *words)
{
    fputc('\n', words->out);
}

/* ---- lines ---- */

static void print_board(FILE *out, const struct stasis_board_state *board)
{
    fprintf(out, LABEL " ", "board");
    stasis_text_put(out, board->name);
    fputs(" of stasis ", out);
    stasis_text_put(out, board->release);
    fputs(" or later\n", out);
    for (uint32_t i = 0; i < board->devices_count; i++) {
        fprintf(out, LABEL " ", i ? "" : "devices");
        stasis_text_put(out, board->devices[i].type);
        fputc(' ', out);
        stasis_text_put(out, board->devices[i].instance);
        fprintf(out, ", version %" PRIu32 "\n", board->devices[i].version);
    }
}

struct named {
    struct words words;
    const char *names[STASIS_X86_FEATURES_MAX];
    size_t count;
};

/* Each name once. */
static void put_named(void *opaque, const struct stasis_x86_feature *feature)
{
    struct named *named = opaque;

    if (!feature->name)
        return;
    for (size_t i = 0; i < named->count; i++) {
        if (strcmp(named->names[i], feature->name) == 0)
            return;
    }
    named->names[named->count++] = feature->name;
    put_word(&named->words, feature->name);
}

static void put_unnamed(void *opaque, const struct stasis_x86_feature *feature)
{
    char place[STASIS_X86_PLACE_MAX];

    stasis_x86_feature_place(feature, place);
    if (!feature->name)
        fprintf(opaque, LABEL " %s\n", "", place);
}

/* Those of a kind come in runs. */
static void print_msrs(FILE *out, const struct stasis_requires *needs)
{
    const uint32_t *msrs = needs->msrs;
    struct words words = begin(out, "MSRs");

    for (size_t i = 0, last; i < needs->msr_count; i = last + 1) {
        char text[STASIS_TEXT_MAX];

        for (last = i; last + 1 < needs->msr_count && msrs[last + 1] == msrs[last] + 1;)
            last++;
        if (last == i)
            snprintf(text, sizeof(text), "0x%" PRIx32, msrs[i]);
        else
            snprintf(text, sizeof(text), "0x%" PRIx32 "-0x%" PRIx32, msrs[i], msrs[last]);
        put_word(&words, text);
    }
    end(&words);
}

static void put_components(FILE *out, const char *label, uint64_t bits)
{
    struct words words = begin(out, label);
    char text[STASIS_TEXT_MAX];

    for (unsigned bit = 0; bit < 64; bit++) {
        const char *name = stasis_x86_component_name(bit);

        if (!(bits >> bit & 1))
            continue;
        snprintf(text, sizeof(text), "component-%u", bit);
        put_word(&words, name ? name : text);
    }
    if (!bits)
        put_word(&words, "none");
    end(&words);
}

static void print_xsave(FILE *out, const struct stasis_requires *needs)
{
    uint32_t size = stasis_requires_xsave_size(needs);

    put_components(out, "XSAVE on", needs->xcr0);
    put_components(out, "XSAVE in use", needs->xstate_bv);
    if (size)
        fprintf(out, LABEL " %" PRIu32 " bytes\n", "XSAVE area", size);
}

static void print_tsc(FILE *out, const struct stasis_requires *needs)
{
    if (!needs->tsc_khz)
        return;
    fprintf(out, LABEL " %" PRIu32 ".%03" PRIu32 " MHz, %s\n", "TSC rate", needs->tsc_khz / 1000,
            needs->tsc_khz % 1000,
            stasis_requires_tsc_rate(needs) ? "within 250 ppm or scaled by KVM"
                                            : "or any other: the guest keeps time by kvmclock");
}

static void print_cpu(FILE *out, const struct stasis_requires *needs)
{
    char vendor[13];
    struct named named = {.count = 0};

    fprintf(out, LABEL " ", "CPU vendor");
    stasis_text_put(out, stasis_requires_vendor(needs, vendor) ? vendor : "any");
    fputc('\n', out);
    named.words = begin(out, "CPU features");
    stasis_requires_features(needs, put_named, &named);
    end(&named.words);
    stasis_requires_features(needs, put_unnamed, out);
    print_xsave(out, needs);
    print_tsc(out, needs);
    print_msrs(out, needs);
}

static void print_kvm(FILE *out)
{
    static const char *const caps[] = {
#define STASIS_KVM_CAP(name, number, text) text,
#include "common/kvm_caps.def"
#undef STASIS_KVM_CAP
    };

    for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++)
        fprintf(out, LABEL " %s\n", i ? "" : "KVM", caps[i]);
}

static void print_text(FILE *out, const char *file, const struct stasis_snap *snap,
                       const struct stasis_requires *needs)
{
    const struct stasis_snap_info *info = stasis_snap_info(snap);
    char text[STASIS_TEXT_MAX];

    stasis_text_put(out, file);
    fputs(": a host needs\n", out);
    stasis_text_arch(info->arch, text);
    fprintf(out, LABEL " %s\n", "architecture", text);
    if (needs->has_board)
        print_board(out, &needs->board);
    fprintf(out, LABEL " %zu\n", "vCPUs",
            needs->has_board ? (size_t)needs->board.vcpus : needs->vcpus);
    stasis_text_size(info->ram_bytes, text);
    fprintf(out, LABEL " %s\n", "memory", text);
    if (needs->vcpus)
        print_cpu(out, needs);
    if (needs->vcpus)
        print_kvm(out);
    if (needs->unknown)
        fprintf(out, LABEL " a newer release than this one: it reads %zu record%s more\n",
                "release", needs->unknown, needs->unknown == 1 ? "" : "s");
}

int stasis_inspect_requires(const struct stasis_inspect_args *args, FILE *out,
                            struct stasis_error *err)
{
    struct stasis_requires *needs = NULL;
    struct stasis_snap *snap;
    int rc = stasis_inspect_open_any_alone(args, args->operands[0], &snap, err);

    if (rc)
        return rc;
    rc = stasis_requires_gather(stasis_snap_records(snap), &needs, err);
    if (!rc && args->values[0])
        stasis_requires_put_json(out, snap, needs);
    else if (!rc)
        print_text(out, args->operands[0], snap, needs);
    stasis_requires_free(needs);
    stasis_snap_free(snap);
    return rc;
}
