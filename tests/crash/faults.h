// SPDX-License-Identifier: MIT
/* One fault again, said in full. */
#pragma once

#include "crash/campaign.h"

/* False: something is wrong still. */
bool faults_replay(struct campaign *c, size_t kind, uint64_t at);
