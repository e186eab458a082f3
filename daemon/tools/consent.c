// SPDX-License-Identifier: Apache-2.0
#include "tools/consent.h"

#include <stdio.h>
#include <unistd.h>

#include "base/error.h"
#include "tools/options.h"

int consent_ask(bool yes)
{
	char answer[16] = "";
	if (yes)
		return OPTIONS_GO_ON;
	if (!isatty(STDIN_FILENO)) {
		fprintf(stderr, "Nothing was done; add --yes\n");
		return EXIT_DONE;
	}
	fprintf(stderr, "Go on? [y/N] ");
	if (fgets(answer, sizeof(answer), stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y'))
		return OPTIONS_GO_ON;
	fprintf(stderr, "Nothing was done\n");
	return EXIT_DONE;
}
