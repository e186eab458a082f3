// SPDX-License-Identifier: Apache-2.0
// Chance: splitmix64 (Steele, Lea, Flood 2014). Faults are drawn whether they are masked or not, so that leaving one out moves the others
// as little as possible.
#include <stdarg.h>
#include <sys/random.h>

#include "sim.h"

struct sim *sim;

ssize_t __wrap_getrandom(void *to, size_t n, unsigned flags);

// Tokens and marks: what they are packed into has a size that follows from them. Beside the chance of faults, which they do not move.
ssize_t __wrap_getrandom(void *to, size_t n, unsigned flags)
{
	(void)flags;
	for (size_t i = 0; i < n; i++) {
		uint64_t z = (sim->seed << 32 | sim->tokens++) * 0x9e3779b97f4a7c15;
		((unsigned char *)to)[i] = (unsigned char)((z ^ (z >> 29)) * 0xbf58476d1ce4e5b9 >> 40);
	}
	return (ssize_t)n;
}

uint64_t sim_draw(void)
{
	uint64_t z = (sim->random += 0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

uint64_t sim_below(uint64_t n)
{
	return sim_draw() % n;
}

bool sim_chance(double p)
{
	return (double)(sim_draw() >> 11) / (double)(1ull << 53) < p;
}

bool sim_fault(const char *fmt, ...)
{
	if (sim->quiet || sim->n_faults == SIM_FAULTS_MOST)
		return false;
	uint32_t i = sim->n_faults++;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(sim->told[i], sizeof(sim->told[i]), fmt, ap);
	va_end(ap);
	return sim->mask == NULL || sim->mask[i] == 0;
}

void sim_say(const char *fmt, ...)
{
	va_list ap;
	if (!sim->trace)
		return;
	va_start(ap, fmt);
	fprintf(stderr, "%10lld.%06lld  ", (long long)sim->mono_us / 1000000, (long long)sim->mono_us % 1000000);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
}

// What is asked for once in a whole rebuild, or once where all was lost.
static double seldom(enum sim_step step)
{
	return step == STEP_ASK ? 20 : step == STEP_CREATE || step == STEP_RESTORE || step == STEP_RESTORED ? 5 : step == STEP_REQUEUE || step == STEP_CORRECT ? 3 : 1;
}

enum fate sim_fate(enum sim_step step, unsigned allowed)
{
	if (sim->dies_next) {
		sim->dies_next = false;
		longjmp(*sim->death, 1);
	}
	sim_person_calls();
	double p = seldom(step) * sim->intensity;
	if (sim->running == NULL || sim->quiet || !sim_chance(p))
		return FATE_OK;
	enum fate f = (enum fate)(1 + sim_below(FATE_COUNT - 1));
	if ((allowed & (1u << f)) == 0)
		f = FATE_LOST;
	if (!sim_fault("instance %d, %s: %s", sim->running->index, step_text(step), fate_text(f)))
		return FATE_OK;
	sim->coverage->fates[step][f]++;
	sim_say("instance %d, %s: %s", sim->running->index, step_text(step), fate_text(f));
	if (f == FATE_DIES_BEFORE)
		longjmp(*sim->death, 1);
	return f;
}

void sim_die_after(enum fate f)
{
	if (f == FATE_DIES_AFTER)
		longjmp(*sim->death, 1);
}

const char *fate_text(enum fate f)
{
	static const char *const texts[] = {
#define FATE(id, text) text,
		SIM_FATES
#undef FATE
	};
	return texts[f];
}

const char *step_text(enum sim_step s)
{
	static const char *const texts[] = {
#define STEP(id, text) text,
		SIM_STEPS
#undef STEP
	};
	return texts[s];
}

const char *event_text(enum sim_event e)
{
	static const char *const texts[] = {
#define EVENT(id, text) text,
		SIM_EVENTS
#undef EVENT
	};
	return texts[e];
}
