/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Snapshots, overlays of disks, and what they lie on, as a tree; told from headers and indexes:
 * neither RAM nor pages of a disk are read.
 */
#ifndef STASIS_TOOLS_LAYERS_H
#define STASIS_TOOLS_LAYERS_H

#include "tools/inspect.h"

#define STASIS_LAYERS_NONE SIZE_MAX

/* What a snapshot's RAM, or a disk, takes from one file. */
struct stasis_layers_debt {
    size_t file;    /* number of a node */
    uint64_t bytes; /* that the places have in the file, of which pages may be taken in part */
    uint64_t pages; /* that are taken from it */
};

struct stasis_layers_node {
    char *name; /* its path */
    struct stasis_snap_info info;
    bool is_disk;  /* an overlay, and for RAM read the disk */
    size_t parent; /* a node, or STASIS_LAYERS_NONE */
    size_t children;
    unsigned depth;                  /* in the tree: it grows where a node has several children */
    struct stasis_layers_debt *owes; /* the first of the file itself, then what it takes from */
    size_t owe_count;
    char *lacks;   /* why its RAM cannot be read: a file is not there, ...; or NULL */
    bool is_named; /* by an operand: it has to be readable */
    bool drawn;
};

struct stasis_layers {
    struct stasis_layers_node *nodes;
    size_t count;
    size_t *order; /* nodes as they are drawn: children behind their parent */
};

/* A file that is to be looked at; and those of a folder. STASIS_ERR_NOMEM, STASIS_ERR_READ. */
STASIS_MUST_CHECK int stasis_layers_add(struct stasis_layers *layers, const char *name,
                                        struct stasis_error *err);
STASIS_MUST_CHECK int stasis_layers_add_folder(struct stasis_layers *layers, const char *path,
                                               struct stasis_error *err);

/* Of the files named by the operands, or in folders that are, and of all that they lie on;
 * *ret_layers to be freed also when it fails. The errors of opening a snapshot, of the operands
 * only; STASIS_ERR_NOMEM. */
STASIS_MUST_CHECK int stasis_layers_collect(const struct stasis_inspect_args *args,
                                            struct stasis_layers *ret_layers,
                                            struct stasis_error *err);
void stasis_layers_fini(struct stasis_layers *layers);

/* Writes the tree as SVG. */
void stasis_layers_svg(const struct stasis_layers *layers, FILE *out);

#endif
