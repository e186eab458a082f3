// SPDX-License-Identifier: Apache-2.0
// Explained here, so io.c need not be.
