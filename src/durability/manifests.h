/* Publishing and finding the manifest. Bytes: format/manifest.h.
 *
 * A manifest is an object with a number of its own, created, written and synced once, then its name
 * is synced: no rename, no object that is replaced. The newest that passes its check rules. Nothing
 * that manifest N - 1 needs is removed before N is durable; so a newest one that fails its check was
 * either torn at birth, and then everything its predecessor needs is still there and the log leads
 * to the same state, or it was damaged later, and then something the predecessor needs is missing.
 * manifests_load tells the two apart by looking. */
#ifndef STRATA_DURABILITY_MANIFESTS_H
#define STRATA_DURABILITY_MANIFESTS_H

#include "backend/backend.h"
#include "format/manifest.h"

enum { MANIFEST_SIZE_MAX = 64 << 20 };

enum { MANIFEST_CHAIN_MAX = 32 };

/* What is in the folder. */
struct manifests {
    const strata_backend *backend;
    const strata_allocator *allocator;
    uint64_t newest;        /* The highest number that exists, valid or not; 0: none. */
    uint64_t published;     /* The one that rules; 0: none. */
    uint64_t oldest;        /* The lowest number that may exist. */
    uint64_t full;          /* The full one that `published` rests on. */
    uint64_t previous_full; /* At most the one that the manifest before it rests on. */
    uint32_t chain;         /* Deltas from `full` to `published`. */
    bool halted;            /* Which one rules is not certain: nothing more is changed. */
};

/* Whether there is anything that a first manifest could have led to: logs, tables. */
STRATA_CHECKED strata_status manifests_find_traces(const strata_backend *backend, bool *out);

/* Finds the manifest that rules and decodes it, deltas applied, into `arena`. `*found` false: there
 * is no database here, or only the traces of a creation that did not finish. STRATA_CORRUPT names the
 * manifest at fault. Changes nothing. */
STRATA_CHECKED strata_status manifests_load(struct manifests *manifests,
                                            const strata_backend *backend,
                                            const strata_allocator *allocator, struct arena *arena,
                                            bool *found, struct manifest *out);

/* Publishes `next`, a full description; its number is set here. Written as a delta on `previous`
 * (NULL: none; else the one that rules), if that is small against the whole and the chain is
 * short, else full. Everything it lists is durable already. On failure the former one rules still, and
 * publishing again is fine, unless the status is STRATA_HALTED: then either may rule, and nothing
 * that either needs may be removed. One thread at a time. */
STRATA_CHECKED strata_status manifests_publish(struct manifests *manifests,
                                               const struct manifest *previous,
                                               struct manifest *next);

/* Removes one manifest that neither the ruling one nor its predecessor rests on, if there is one;
 * `*more` says whether another is left. */
STRATA_CHECKED strata_status manifests_drop_step(struct manifests *manifests, bool *more);

#endif
