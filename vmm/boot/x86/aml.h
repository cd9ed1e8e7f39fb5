/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Writes ACPI Machine Language (ACPI 6.4, chapters 6.4 and 20): as much as it takes to describe
 * devices that never change. Things that hold others are opened and closed:
 *
 *   size_t device = stasis_aml_open_device(aml, "COM1");
 *   ... contents ...
 *   stasis_aml_close(aml, device);
 */
#ifndef STASIS_VMM_AML_H
#define STASIS_VMM_AML_H

#include "vmm/boot/x86/append.h"

/* Names are four characters, e.g. "_HID". Each returns what stasis_aml_close() wants. */
size_t stasis_aml_open_scope(struct stasis_append *aml, const char *name);
size_t stasis_aml_open_device(struct stasis_append *aml, const char *name);
/* A method without arguments. */
size_t stasis_aml_open_method(struct stasis_append *aml, const char *name);
size_t stasis_aml_open_package(struct stasis_append *aml, uint8_t elements);
void stasis_aml_close(struct stasis_append *aml, size_t opened);

/* A buffer of resource descriptors, and its end. */
size_t stasis_aml_open_resources(struct stasis_append *aml);
void stasis_aml_close_resources(struct stasis_append *aml, size_t opened);

/* Name (name, <the object that is written next>). */
void stasis_aml_name(struct stasis_append *aml, const char *name);

/* Notify (\scope.device, value). */
void stasis_aml_notify(struct stasis_append *aml, const char *scope, const char *device,
                       uint8_t value);

void stasis_aml_int(struct stasis_append *aml, uint32_t value);
void stasis_aml_string(struct stasis_append *aml, const char *text);
void stasis_aml_buffer(struct stasis_append *aml, const uint8_t *bytes, uint8_t len);
/* "PNP0501" as the compressed integer that ACPI makes of it. */
void stasis_aml_eisa_id(struct stasis_append *aml, const char *id);

/* Resource descriptors; interrupts are active high and not shared, and edge-triggered unless
 * is_level. */
void stasis_aml_ports(struct stasis_append *aml, uint16_t base, uint8_t len);
void stasis_aml_memory(struct stasis_append *aml, uint32_t base, uint32_t len);
void stasis_aml_interrupt(struct stasis_append *aml, uint32_t gsi, bool is_level);

#endif
