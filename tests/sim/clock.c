// SPDX-License-Identifier: Apache-2.0
// The virtual clock in the place of base/clock.c. Each look at it takes a microsecond, so that whoever waits in a loop gets there.
#include "base/clock.h"

#include "sim.h"

int64_t clock_wall_ms(void)
{
	return sim != NULL ? sim->wall_ms + sim->mono_us / 1000 : 0;
}

int64_t clock_mono_us(void)
{
	return sim != NULL ? ++sim->mono_us : 0;
}

void clock_sleep_ms(int64_t ms)
{
	if (sim == NULL)
		return;
	sim->mono_us += ms * 1000;
	sim_waits(ms);
	sim_person_waits();
}
