// SPDX-License-Identifier: MIT
/*
 * The enumerator against broken protocols: it must find what is wrong with them. And the fast judge
 * against the slow one, on every single state.
 */
#pragma once

void control_run(unsigned int *passed, unsigned int *failed);

/* That what is thought to be the same to a program is (shown.h). */
void control_sight(unsigned int *passed, unsigned int *failed);

/* What `replay` needs of a state, and its verdict. */
void control_replay(unsigned int *passed, unsigned int *failed);

/* The programs of program.h against the same ones started afresh. */
void control_programs(unsigned int *passed, unsigned int *failed);
