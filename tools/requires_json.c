/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tools/requires.h"

#include <inttypes.h>

#include "stasis/json.h"
#include "tools/text.h"

static void put_u64(struct stasis_json *json, const char *key, uint64_t value)
{
    stasis_json_key(json, key);
    stasis_json_u64(json, value);
}

static void put_str(struct stasis_json *json, const char *key, const char *value)
{
    stasis_json_key(json, key);
    stasis_json_str(json, value);
}

static void put_hex(struct stasis_json *json, uint64_t value)
{
    char text[STASIS_TEXT_MAX];

    snprintf(text, sizeof(text), "0x%" PRIx64, value);
    stasis_json_str(json, text);
}

static void put_board(struct stasis_json *json, const struct stasis_board_state *board)
{
    stasis_json_key(json, "board");
    stasis_json_object_begin(json);
    put_str(json, "name", board->name);
    put_str(json, "release", board->release);
    stasis_json_key(json, "devices");
    stasis_json_array_begin(json);
    for (uint32_t i = 0; i < board->devices_count; i++) {
        stasis_json_object_begin(json);
        put_str(json, "type", board->devices[i].type);
        put_u64(json, "version", board->devices[i].version);
        put_str(json, "instance", board->devices[i].instance);
        stasis_json_object_end(json);
    }
    stasis_json_array_end(json);
    stasis_json_object_end(json);
}

static void put_feature(void *opaque, const struct stasis_x86_feature *feature)
{
    struct stasis_json *json = opaque;
    char place[STASIS_X86_PLACE_MAX];

    stasis_x86_feature_place(feature, place);
    stasis_json_object_begin(json);
    if (feature->name)
        put_str(json, "name", feature->name);
    put_str(json, "place", place);
    stasis_json_object_end(json);
}

static void put_components(struct stasis_json *json, const char *key, uint64_t bits)
{
    stasis_json_key(json, key);
    stasis_json_array_begin(json);
    for (unsigned bit = 0; bit < 64; bit++) {
        const char *name = stasis_x86_component_name(bit);
        char text[STASIS_TEXT_MAX];

        if (!(bits >> bit & 1))
            continue;
        snprintf(text, sizeof(text), "component %u", bit);
        stasis_json_str(json, name ? name : text);
    }
    stasis_json_array_end(json);
}

static void put_cpu(struct stasis_json *json, const struct stasis_requires *needs)
{
    char vendor[13];

    stasis_json_key(json, "cpu");
    stasis_json_object_begin(json);
    if (stasis_requires_vendor(needs, vendor))
        put_str(json, "vendor", vendor);
    stasis_json_key(json, "features");
    stasis_json_array_begin(json);
    stasis_requires_features(needs, put_feature, json);
    stasis_json_array_end(json);
    put_components(json, "xsave_enabled", needs->xcr0);
    put_components(json, "xsave_in_use", needs->xstate_bv);
    put_u64(json, "xsave_bytes", stasis_requires_xsave_size(needs));
    put_u64(json, "tsc_khz", needs->tsc_khz);
    stasis_json_key(json, "tsc_rate_matters");
    stasis_json_bool(json, stasis_requires_tsc_rate(needs));
    stasis_json_key(json, "msrs");
    stasis_json_array_begin(json);
    for (size_t i = 0; i < needs->msr_count; i++)
        put_hex(json, needs->msrs[i]);
    stasis_json_array_end(json);
    stasis_json_object_end(json);
}

static void put_kvm(struct stasis_json *json)
{
    static const struct {
        unsigned number;
        const char *text;
    } caps[] = {
#define STASIS_KVM_CAP(name, number, text) {number, text},
#include "common/kvm_caps.def"
#undef STASIS_KVM_CAP
    };

    stasis_json_key(json, "kvm");
    stasis_json_array_begin(json);
    for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) {
        stasis_json_object_begin(json);
        put_u64(json, "capability", caps[i].number);
        put_str(json, "text", caps[i].text);
        stasis_json_object_end(json);
    }
    stasis_json_array_end(json);
}

void stasis_requires_put_json(FILE *out, const struct stasis_snap *snap,
                              const struct stasis_requires *needs)
{
    const struct stasis_snap_info *info = stasis_snap_info(snap);
    struct stasis_json json;
    char arch[STASIS_TEXT_MAX];

    stasis_text_arch(info->arch, arch);
    stasis_json_init(&json, out);
    stasis_json_object_begin(&json);
    put_u64(&json, "format_version", info->format_version);
    put_str(&json, "producer", info->producer);
    put_str(&json, "arch", arch);
    if (needs->has_board)
        put_board(&json, &needs->board);
    put_u64(&json, "vcpus", needs->has_board ? needs->board.vcpus : needs->vcpus);
    put_u64(&json, "ram_bytes", info->ram_bytes);
    if (needs->vcpus)
        put_cpu(&json, needs);
    if (needs->vcpus)
        put_kvm(&json);
    put_u64(&json, "unknown_records", needs->unknown);
    stasis_json_object_end(&json);
    (void)!stasis_json_finish(&json); /* sticks in the stream, which is closed at the end */
}
