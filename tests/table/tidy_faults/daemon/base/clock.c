// SPDX-License-Identifier: Apache-2.0
// May ask the time.
#include <time.h>

long now(void)
{
	return (long)time(NULL);
}
