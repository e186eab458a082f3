// SPDX-License-Identifier: Apache-2.0
// A Redis in memory, in this process: what hiredis would send to a server is carried out here, by the same Lua 5.1 and the functions that the
// adapter loads. Linked in front of hiredis it takes the place of its connections, so the real adapter runs above it unchanged, and nothing
// depends on a server's speed, its hash seed or the wall clock. tests/unit/test_store.c runs against it and against a real Redis.
//
// Shown: the commands that the adapter and its functions use (any other ends the process), and an order of HSCAN that is nobody's: it depends on
// redis_twin_order. Not shown: memory limits, time-outs, wrong types; those are met on real servers (test_store, scenarios, chaos).
#ifndef SIM_REDIS_H
#define SIM_REDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

extern uint64_t redis_twin_order;          // set by whoever wants another order
extern int64_t (*redis_twin_now_ms)(void); // for leases
extern void (*redis_twin_before_cut)(void); // what others do between the list of keys and the step that copies them; NULL: nothing

// All keys at one moment.
struct redis_keys;
struct redis_keys *redis_twin_copy(void);
void redis_twin_copy_free(struct redis_keys *c);
bool redis_twin_copy_has(const struct redis_keys *c, const char *key, const char *field, const char *but); // a field with another value
// Back to that moment, as by a restart that lost what came after: connections end. tag: only keys that hold it (a shard's), "": all.
void redis_twin_restore(const struct redis_keys *c, const char *tag);
void redis_twin_lose(const char *tag);     // all keys that hold it are gone; connections end
void redis_twin_clear(void);               // functions stay, as with FLUSHDB

// A request that a socket's buffer holds: commands sent ahead are kept instead of carried out, and the connection is given up.
struct redis_held;
void redis_twin_hold(struct redis_held **into); // NULL: no more
void redis_twin_arrive(struct redis_held *h);   // carried out, freed; the answers are nobody's
void redis_twin_drop(struct redis_held *h);

#endif
