// SPDX-License-Identifier: MIT
#include "outside/trace_calls.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#define FOREIGN_BIT 0x40000000u /* calls of the x32 kind */
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#define FOREIGN_BIT 0x80000000u
#else
#define ARCHITECTURE 0 /* trace_supported() says no */
#define FOREIGN_BIT 0x80000000u
#endif

const struct trace_what trace_calls[] = {
	{"pwrite64", TRACE_WRITE_AT, SYS_pwrite64, 0, 2, 3},
	{"pwritev", TRACE_WRITE_AT, SYS_pwritev, 0, -1, 3},
	{"write", TRACE_WRITE, SYS_write, 0, 2, -1},
	{"writev", TRACE_WRITE, SYS_writev, 0, -1, -1},
	{"ftruncate", TRACE_RESIZE, SYS_ftruncate, 0, -1, -1},
	{"fallocate", TRACE_ALLOCATE, SYS_fallocate, 0, 3, 2},
	{"fsync", TRACE_SYNC, SYS_fsync, 0, -1, -1},
	{"fdatasync", TRACE_SYNC, SYS_fdatasync, 0, -1, -1},
	{"syncfs", TRACE_SYNC, SYS_syncfs, 0, -1, -1},
	{"mmap", TRACE_MAP, SYS_mmap, 4, -1, 3},
	{"openat", TRACE_OPEN, SYS_openat, -1, -1, 2},
	{"openat2", TRACE_NAME, SYS_openat2, -1, -1, -1},
	{"truncate", TRACE_NAME, SYS_truncate, -1, -1, -1},
	{"renameat", TRACE_NAME, SYS_renameat, -1, -1, -1},
	{"renameat2", TRACE_NAME, SYS_renameat2, -1, -1, -1},
	{"linkat", TRACE_NAME, SYS_linkat, -1, -1, -1},
	{"unlinkat", TRACE_NAME, SYS_unlinkat, -1, -1, -1},
#ifdef SYS_open
	{"open", TRACE_OPEN, SYS_open, -1, -1, 1},
	{"creat", TRACE_NAME, SYS_creat, -1, -1, -1},
	{"rename", TRACE_NAME, SYS_rename, -1, -1, -1},
	{"link", TRACE_NAME, SYS_link, -1, -1, -1},
	{"unlink", TRACE_NAME, SYS_unlink, -1, -1, -1},
#endif
	{"pwritev2", TRACE_HIDDEN, SYS_pwritev2, 0, -1, -1},
	{"sendfile", TRACE_HIDDEN, SYS_sendfile, 0, -1, -1},
	{"splice", TRACE_HIDDEN, SYS_splice, 2, -1, -1},
	{"copy_file_range", TRACE_HIDDEN, SYS_copy_file_range, 2, -1, -1},
	{"ioctl", TRACE_HIDDEN, SYS_ioctl, 0, -1, -1},
};
const size_t trace_call_count = sizeof(trace_calls) / sizeof(trace_calls[0]);

/* Programs do without, or say that they cannot. */
static const int absent[] = {SYS_io_uring_setup, SYS_io_setup};

#define ABSENT (sizeof(absent) / sizeof(absent[0]))
#define FILTER_MAX 128

#define LOAD(field)                                                                                \
	(struct sock_filter)                                                                       \
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(what) (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, what)
#define UNLESS_EQUAL_SKIP(value)                                                                   \
	(struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1)
#define IF_EQUAL_SKIP(value) (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0)
#define IF_LESS_SKIP(value) (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, value, 0, 1)

int trace_calls_filter(void)
{
	struct sock_filter code[FILTER_MAX];
	unsigned short n = 0;
	struct sock_fprog program = {.filter = code};

	_Static_assert(sizeof(trace_calls) / sizeof(trace_calls[0]) * 2 + 16 < FILTER_MAX, "room");
	code[n++] = LOAD(arch);
	code[n++] = IF_EQUAL_SKIP(ARCHITECTURE);
	code[n++] = RETURN(SECCOMP_RET_KILL_PROCESS);
	code[n++] = LOAD(nr);
	code[n++] = IF_LESS_SKIP(FOREIGN_BIT);
	code[n++] = RETURN(SECCOMP_RET_KILL_PROCESS);
	for (size_t i = 0; i < ABSENT; i++) {
		code[n++] = UNLESS_EQUAL_SKIP((uint32_t)absent[i]);
		code[n++] = RETURN(SECCOMP_RET_ERRNO | ENOSYS);
	}
	for (size_t i = 0; i < trace_call_count; i++) {
		code[n++] = UNLESS_EQUAL_SKIP((uint32_t)trace_calls[i].number);
		code[n++] = RETURN(SECCOMP_RET_TRACE | (uint32_t)i);
	}
	code[n++] = RETURN(SECCOMP_RET_ALLOW);
	program.len = n;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0
	    || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		return errno;
	return 0;
}
