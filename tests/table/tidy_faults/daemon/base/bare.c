// SPDX-License-Identifier: Apache-2.0
#include "base/bare.h"

int bare;
int other;
int third;
