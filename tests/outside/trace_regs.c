// SPDX-License-Identifier: MIT
#include "outside/trace_regs.h"

#include <elf.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>

#if defined(__x86_64__) || defined(__aarch64__)
static bool load(pid_t thread, struct user_regs_struct *regs)
{
	struct iovec io = {regs, sizeof(*regs)};

	return ptrace(PTRACE_GETREGSET, thread, (void *)(uintptr_t)NT_PRSTATUS, &io) == 0;
}

static bool store(pid_t thread, struct user_regs_struct *regs)
{
	struct iovec io = {regs, sizeof(*regs)};

	return ptrace(PTRACE_SETREGSET, thread, (void *)(uintptr_t)NT_PRSTATUS, &io) == 0;
}
#endif

#if defined(__x86_64__)

bool trace_regs_known(void)
{
	return true;
}

bool trace_regs_fail(pid_t thread, int errnum)
{
	struct user_regs_struct regs;

	if (!load(thread, &regs))
		return false;
	regs.orig_rax = (unsigned long long)-1; /* no such call: none is made */
	regs.rax = (unsigned long long)-(long long)errnum;
	return store(thread, &regs);
}

bool trace_regs_argument(pid_t thread, int which, uint64_t value)
{
	struct user_regs_struct regs;

	if (!load(thread, &regs))
		return false;
	switch (which) {
	case 2:
		regs.rdx = value;
		break;
	case 3:
		regs.r10 = value;
		break;
	default:
		return false;
	}
	return store(thread, &regs);
}

#elif defined(__aarch64__)

#ifndef NT_ARM_SYSTEM_CALL
#define NT_ARM_SYSTEM_CALL 0x404
#endif

bool trace_regs_known(void)
{
	return true;
}

bool trace_regs_fail(pid_t thread, int errnum)
{
	struct user_regs_struct regs;
	int none = -1;
	struct iovec io = {&none, sizeof(none)};

	if (!load(thread, &regs))
		return false;
	regs.regs[0] = (unsigned long long)-(long long)errnum;
	return store(thread, &regs)
	       && ptrace(PTRACE_SETREGSET, thread, (void *)(uintptr_t)NT_ARM_SYSTEM_CALL, &io) == 0;
}

bool trace_regs_argument(pid_t thread, int which, uint64_t value)
{
	struct user_regs_struct regs;

	if (!load(thread, &regs))
		return false;
	regs.regs[which] = value;
	return store(thread, &regs);
}

#else

bool trace_regs_known(void)
{
	return false;
}

bool trace_regs_fail(pid_t thread, int errnum)
{
	(void)thread, (void)errnum;
	return false;
}

bool trace_regs_argument(pid_t thread, int which, uint64_t value)
{
	(void)thread, (void)which, (void)value;
	return false;
}

#endif
