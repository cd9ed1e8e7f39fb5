/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * XSAVE area (Intel SDM 1, 13.4) to and from components. Where a component lies in the area is
 * this host's business: CPUID leaf 0xD says so.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stasis/bytes.h"
#include "vmm/arch/x86/x86.h"

#define LEGACY_ST  32
#define LEGACY_XMM 160
#define HEADER     512 /* XSTATE_BV */
#define HEADER_END 576
#define AREA_MAX   65536u

#define COMPONENT_X87 0
#define COMPONENT_SSE 1

struct component {
    unsigned bit;
    uint32_t size;
    size_t offset; /* in stasis_x86_xsave_state */
    size_t len_offset;
    const char *name;
};

#define COMPONENT(bit, name)                                                                       \
    {                                                                                              \
        bit, sizeof(((struct stasis_x86_xsave_state *)0)->name),                                   \
            offsetof(struct stasis_x86_xsave_state, name),                                         \
            offsetof(struct stasis_x86_xsave_state, name##_len), #name                             \
    }

static const struct component components[] = {
    COMPONENT(COMPONENT_X87, st), COMPONENT(COMPONENT_SSE, xmm), COMPONENT(2, ymm_high),
    COMPONENT(3, bndregs),        COMPONENT(4, bndcsr),          COMPONENT(5, opmask),
    COMPONENT(6, zmm_high),       COMPONENT(7, zmm_16_31),       COMPONENT(9, pkru),
};
_Static_assert(sizeof(components) / sizeof(components[0]) == STASIS_X86_COMPONENTS, "see x86.h");

static void read_layout(const struct stasis_kvm *kvm, struct stasis_x86_xsave_area *ret_area)
{
    const struct kvm_cpuid2 *cpuid = kvm->cpuid;

    memset(ret_area, 0, sizeof(*ret_area));
    for (uint32_t i = 0; i < cpuid->nent; i++) {
        const struct kvm_cpuid_entry2 *leaf = &cpuid->entries[i];

        for (size_t c = 2; leaf->function == 0xd && c < STASIS_X86_COMPONENTS; c++) {
            if (leaf->index == components[c].bit && leaf->eax == components[c].size)
                ret_area->offset[c] = leaf->ebx;
        }
    }
    ret_area->offset[0] = LEGACY_ST;
    ret_area->offset[1] = LEGACY_XMM;
}

int stasis_x86_xsave_area_init(const struct stasis_vm *vm, struct stasis_x86_xsave_area *ret_area,
                               struct stasis_error *err)
{
    struct stasis_x86_xsave_area area;
    int rc;

    read_layout(vm->kvm, &area);
    rc = stasis_vm_xsave_size(vm, &area.size, err);
    if (rc)
        return rc;
    area.bytes = calloc(1, area.size);
    if (!area.bytes)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for an XSAVE area");
    *ret_area = area;
    return 0;
}

void stasis_x86_xsave_area_fini(struct stasis_x86_xsave_area *area)
{
    free(area->bytes);
    area->bytes = NULL;
}

static bool has_room(const struct stasis_x86_xsave_area *area, size_t c)
{
    return area->offset[c] && area->offset[c] + components[c].size <= area->size;
}

/* ---- legacy region (SDM 1, table 10-2), by hand: its fields have odd places ---- */

static void legacy_get(struct stasis_x86_xsave_state *to, const uint8_t *area)
{
    if (to->xstate_bv >> COMPONENT_X87 & 1) {
        memcpy(&to->fcw, area, 2);
        memcpy(&to->fsw, area + 2, 2);
        to->ftw = area[4];
        memcpy(&to->fop, area + 6, 2);
        memcpy(&to->fip, area + 8, 8);
        memcpy(&to->fdp, area + 16, 8);
    }
    memcpy(&to->mxcsr, area + 24, 4);
    memcpy(&to->mxcsr_mask, area + 28, 4);
}

static void legacy_set(uint8_t *area, const struct stasis_x86_xsave_state *from)
{
    memcpy(area, &from->fcw, 2);
    memcpy(area + 2, &from->fsw, 2);
    area[4] = from->ftw;
    memcpy(area + 6, &from->fop, 2);
    memcpy(area + 8, &from->fip, 8);
    memcpy(area + 16, &from->fdp, 8);
    memcpy(area + 24, &from->mxcsr, 4);
    memcpy(area + 28, &from->mxcsr_mask, 4);
    memcpy(area + HEADER, &from->xstate_bv, 8);
}

/* ---- get ---- */

static int split_area(struct stasis_x86_xsave_state *to, const struct stasis_x86_xsave_area *area,
                      struct stasis_error *err)
{
    uint64_t left;

    stasis_state_init(&stasis_x86_xsave_schema, to);
    memcpy(&to->xstate_bv, area->bytes + HEADER, 8);
    left = to->xstate_bv;
    legacy_get(to, area->bytes);
    for (size_t c = 0; c < STASIS_X86_COMPONENTS; c++) {
        const struct component *component = &components[c];
        const uint8_t *from = area->bytes + area->offset[c];

        if (!(to->xstate_bv >> component->bit & 1) || !has_room(area, c))
            continue;
        left &= ~(UINT64_C(1) << component->bit);
        /* The initial state of every component but the first two. A CPU may call it in use all the
         * same (SDM 1, 13.6); equal states are to be equal bytes. */
        if (component->bit > COMPONENT_SSE && stasis_is_zero(from, component->size)) {
            to->xstate_bv &= ~(UINT64_C(1) << component->bit);
            continue;
        }
        memcpy((uint8_t *)to + component->offset, from, component->size);
        memcpy((uint8_t *)to + component->len_offset, &component->size, sizeof(uint32_t));
    }
    if (left)
        return stasis_fail(
            err, STASIS_ERR_RANGE,
            "the guest uses XSAVE components 0x%" PRIx64 " that this release cannot save", left);
    return 0;
}

static int xsave_get(struct stasis_vcpu *vcpu, void *ret_state, struct stasis_error *err)
{
    struct stasis_x86_xsave_area *area = &stasis_x86_of(vcpu)->xsave;
    int rc = stasis_vcpu_get_xsave(vcpu, area->bytes, area->size, err);

    return rc ? rc : split_area(ret_state, area, err);
}

/* ---- set ---- */

static void add_missing(const struct component *component, struct stasis_reasons *reasons)
{
    struct stasis_reason reason = {
        .code = STASIS_ERR_HOST, .kind = "xsave-component", .has = "no such component"};

    snprintf(reason.object, sizeof(reason.object), "%s", component->name);
    snprintf(reason.asks, sizeof(reason.asks), "XSAVE component %u, %" PRIu32 " bytes",
             component->bit, component->size);
    snprintf(reason.what, sizeof(reason.what),
             "the guest uses the vector registers %s, which this host lacks", component->name);
    stasis_reasons_add(reasons, &reason);
}

static void check_components(const struct stasis_x86_xsave_area *area,
                             const struct stasis_x86_xsave_state *from,
                             struct stasis_reasons *reasons)
{
    for (size_t c = 2; c < STASIS_X86_COMPONENTS; c++) {
        if ((from->xstate_bv >> components[c].bit & 1) && !has_room(area, c))
            add_missing(&components[c], reasons);
    }
}

/* KVM may have less room for this VM than the CPU. */
static int missing_component(struct stasis_vcpu *vcpu, const struct stasis_x86_xsave_state *from,
                             struct stasis_error *err)
{
    struct stasis_reasons reasons = {0};
    int rc;

    check_components(&stasis_x86_of(vcpu)->xsave, from, &reasons);
    rc = stasis_x86_refuse(vcpu, &reasons, err);
    stasis_reasons_fini(&reasons);
    return rc;
}

static int xsave_set(struct stasis_vcpu *vcpu, const void *state, struct stasis_error *err)
{
    const struct stasis_x86_xsave_state *from = state;
    struct stasis_x86_xsave_area *area = &stasis_x86_of(vcpu)->xsave;
    int rc = missing_component(vcpu, from, err);

    if (rc)
        return rc;
    memset(area->bytes, 0, area->size);
    legacy_set(area->bytes, from);
    for (size_t c = 0; c < STASIS_X86_COMPONENTS; c++) {
        if (from->xstate_bv >> components[c].bit & 1)
            memcpy(area->bytes + area->offset[c], (const uint8_t *)from + components[c].offset,
                   components[c].size);
    }
    return stasis_vcpu_set_xsave(vcpu, area->bytes, area->size, err);
}

const struct stasis_arch_vcpu_record stasis_x86_xsave_part = {
    .schema = &stasis_x86_xsave_schema,
    .get = xsave_get,
    .set = xsave_set,
    .check = stasis_x86_xsave_check,
};

int stasis_x86_xsave_check(const struct stasis_kvm *kvm, const struct stasis_board_state *board,
                           const void *xsave, struct stasis_reasons *reasons,
                           struct stasis_error *err)
{
    struct stasis_x86_xsave_area area;

    (void)board;
    (void)err;
    read_layout(kvm, &area);
    area.size = AREA_MAX; /* how much this VM wants is not known yet */
    check_components(&area, xsave, reasons);
    return 0;
}
