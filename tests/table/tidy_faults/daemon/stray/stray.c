// SPDX-License-Identifier: Apache-2.0
// In a folder that is no room.
