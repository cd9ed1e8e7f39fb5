/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include <stasis/bind.h>
#include <stasis/snap.h>

struct vm {
    uint64_t ticks;
} vm = {.ticks = 42}, new_vm;
char ram[1 << 20] = "what the guest wrote", new_ram[sizeof(ram)];
const struct stasis_field fields[] = {STASIS_BIND_INT(struct vm, ticks, 1, 1, 0, -1, "time")};
const struct stasis_schema schema = {
    .type = "acme.vm", .version = 1, STASIS_BIND_FIELDS(struct vm, fields), .doc = "a machine"};
const struct stasis_schema *const own[] = {&schema};
const struct stasis_parse_opts opt = {.size = sizeof(opt), .schemas = own, .schema_count = 1};

int main(void)
{
    struct stasis_error err = {.msg = "out of memory"};
    struct stasis_snap *in = NULL, *out = stasis_snap_new(STASIS_ARCH_X86_64);
    int rc = !out || stasis_records_add(stasis_snap_records(out), &schema, "main", &vm, &err) ||
             stasis_snap_add_ram(out, 0, ram, sizeof(ram), &err) ||
             stasis_snap_save(out, "vm.snap", NULL, NULL, &err) ||
             stasis_snap_open("vm.snap", &opt, &in, &err) ||
             stasis_records_get(stasis_snap_records(in), &schema, "main", &new_vm, &err) ||
             stasis_snap_get_ram(in, 0, new_ram, sizeof(new_ram), NULL, NULL, &err);

    printf("%s\n", rc ? err.msg : new_ram);
    stasis_snap_free(in);
    stasis_snap_free(out);
    return rc;
}
