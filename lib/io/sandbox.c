// SPDX-License-Identifier: MIT
#include "io/sandbox.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/landlock.h>

#include "io/file_posix_impl.h"

#ifdef QC_HAVE_SECCOMP
#include <seccomp.h>
#endif

/* Far above what any image needs, far below what would hurt the machine's bookkeeping. */
#define ADDRESS_SPACE_BYTES ((rlim_t)UINT64_C(64) << 30)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BOUND_ADDRESS_SPACE 0 /* its shadow alone takes terabytes */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define BOUND_ADDRESS_SPACE 0
#endif
#endif
#ifndef BOUND_ADDRESS_SPACE
#define BOUND_ADDRESS_SPACE 1
#endif

static const struct rlimit *lower(struct rlimit *limit, rlim_t to)
{
	if (limit->rlim_cur > to)
		limit->rlim_cur = to;
	return limit;
}

unsigned int qc_sandbox_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_CORE, &limit) == 0)
		(void)setrlimit(RLIMIT_CORE, lower(&limit, 0));
	if (BOUND_ADDRESS_SPACE && getrlimit(RLIMIT_AS, &limit) == 0)
		(void)setrlimit(RLIMIT_AS, lower(&limit, ADDRESS_SPACE_BYTES));
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? QC_SANDBOX_LIMITS : 0;
}

/* The folder in which a file waits for its name; -1 for none. */
static int folder_of(const struct qc_file *to_publish)
{
	const struct qc_file_posix *p = to_publish ? qc_file_posix_of(to_publish) : NULL;

	return p ? p->folder_fd : -1;
}

#define FOLDERS 2

/* --- Landlock --- */

/* LANDLOCK_ACCESS_FS_REFER, which older headers lack: names may move, as long as they stay inside. */
#define RIGHT_REFER (UINT64_C(1) << 13)

/*
 * The structure as the newest kernel that is known here has it; older headers lack its end, and older
 * kernels take it as long as what they do not know is zero.
 */
struct ruleset {
	uint64_t handled_access_fs;
	uint64_t handled_access_net;
	uint64_t scoped;
};

static int landlock_version(void)
{
	return (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

/* All that a version can forbid. */
static struct ruleset forbid_all(int version)
{
	static const unsigned int fs_rights[] = {0, 13, 14, 15, 15, 16};
	struct ruleset all = {0};

	all.handled_access_fs = (UINT64_C(1) << fs_rights[version < 5 ? version : 5]) - 1;
	if (version >= 4)
		all.handled_access_net = 3; /* bind and connect, TCP */
	if (version >= 6)
		all.scoped = 3; /* abstract sockets, signals */
	return all;
}

/* The only rule: names in that folder come and go. What they are names of cannot be opened. */
static bool allow_names(int ruleset_fd, int folder_fd, uint64_t handled)
{
	const struct landlock_path_beneath_attr names = {
		.allowed_access = handled
				  & (LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE
				     | RIGHT_REFER),
		.parent_fd = folder_fd,
	};

	return syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &names, 0)
	       == 0;
}

static bool lock_paths(const int folders[FOLDERS])
{
	int version = landlock_version();
	struct ruleset all;
	bool locked;
	int fd;

	if (version < 1)
		return false;
	all = forbid_all(version);
	fd = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all), 0);
	if (fd < 0)
		return false;
	locked = true;
	for (size_t i = 0; i < FOLDERS; i++)
		if (locked && folders[i] >= 0)
			locked = allow_names(fd, folders[i], all.handled_access_fs);
	locked = locked && syscall(SYS_landlock_restrict_self, fd, 0) == 0;
	close(fd);
	return locked;
}

/* --- seccomp --- */

#ifdef QC_HAVE_SECCOMP
static const int allowed[] = {
	/* open files */
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(readv),
	SCMP_SYS(writev),
	SCMP_SYS(pread64),
	SCMP_SYS(pwrite64),
	SCMP_SYS(preadv),
	SCMP_SYS(pwritev),
	SCMP_SYS(preadv2),
	SCMP_SYS(pwritev2),
	SCMP_SYS(lseek),
	SCMP_SYS(close),
	SCMP_SYS(fstat),
	SCMP_SYS(fsync),
	SCMP_SYS(fdatasync),
	SCMP_SYS(sync_file_range),
	SCMP_SYS(ftruncate),
	SCMP_SYS(fallocate),
	SCMP_SYS(fadvise64),
	/* what some of these are called where a word has 32 bits */
	SCMP_SYS(_llseek),
	SCMP_SYS(fstat64),
	SCMP_SYS(ftruncate64),
	SCMP_SYS(fadvise64_64),
	SCMP_SYS(arm_fadvise64_64),
	SCMP_SYS(sync_file_range2),
	SCMP_SYS(mmap2),
	SCMP_SYS(futex_time64),
	SCMP_SYS(clock_gettime64),
	SCMP_SYS(clock_nanosleep_time64),
	SCMP_SYS(rt_sigtimedwait_time64),
	/* memory */
	SCMP_SYS(brk),
	SCMP_SYS(mmap),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(mprotect),
	/* threads, signals, time, the end */
	SCMP_SYS(futex),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(rseq),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(gettid),
	SCMP_SYS(getpid),
	SCMP_SYS(tgkill),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigreturn), /* i386 returns from plain handlers with it */
	SCMP_SYS(rt_sigtimedwait),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(getrandom),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

/* The kernel's clone has its first two arguments the other way round there. */
#ifdef __s390__
#define CLONE_FLAGS_ARGUMENT 1
#else
#define CLONE_FLAGS_ARGUMENT 0
#endif

/*
 * A thread, but no process. clone3 hides its flags where no filter can look: it fails with ENOSYS as
 * everything else does, and the C library then asks for a thread by clone.
 */
static bool allow_threads(scmp_filter_ctx filter)
{
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
				SCMP_CMP(CLONE_FLAGS_ARGUMENT, SCMP_CMP_MASKED_EQ, CLONE_THREAD,
					 CLONE_THREAD))
	       == 0;
}

/* How some C libraries spell fstat. A path in it cannot be seen here, but a stat opens nothing. */
static bool allow_fstat(scmp_filter_ctx filter)
{
	const uint64_t empty_path = 0x1000; /* AT_EMPTY_PATH */
	const struct scmp_arg_cmp third = SCMP_A2(SCMP_CMP_MASKED_EQ, empty_path, empty_path);
	const struct scmp_arg_cmp fourth = SCMP_A3(SCMP_CMP_MASKED_EQ, empty_path, empty_path);
	const uint32_t allow = SCMP_ACT_ALLOW;

	return seccomp_rule_add(filter, allow, SCMP_SYS(newfstatat), 1, fourth) == 0
	       && seccomp_rule_add(filter, allow, SCMP_SYS(fstatat64), 1, fourth) == 0
	       && seccomp_rule_add(filter, allow, SCMP_SYS(statx), 1, third) == 0;
}

/* Whether there is one, and how wide: what stdio and tables ask. */
static bool allow_terminal(scmp_filter_ctx filter)
{
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
				SCMP_A1(SCMP_CMP_EQ, TCGETS, 0))
		       == 0
	       && seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
				   SCMP_A1(SCMP_CMP_EQ, TIOCGWINSZ, 0))
			  == 0;
}

/* What gives a file its name: in that folder, as far as a filter that sees no paths can tell. */
static bool allow_publishing(scmp_filter_ctx filter, int folder_fd)
{
	const scmp_datum_t folder = (scmp_datum_t)(unsigned int)folder_fd;
	const struct scmp_arg_cmp first = SCMP_A0(SCMP_CMP_MASKED_EQ, UINT32_MAX, folder);
	const struct scmp_arg_cmp third = SCMP_A2(SCMP_CMP_MASKED_EQ, UINT32_MAX, folder);
	const uint32_t allow = SCMP_ACT_ALLOW;

	return seccomp_rule_add(filter, allow, SCMP_SYS(linkat), 1, third) == 0
	       && seccomp_rule_add(filter, allow, SCMP_SYS(renameat), 2, first, third) == 0
	       && seccomp_rule_add(filter, allow, SCMP_SYS(renameat2), 2, first, third) == 0
	       && seccomp_rule_add(filter, allow, SCMP_SYS(unlinkat), 1, first) == 0
	       && seccomp_rule_add(filter, allow, SCMP_SYS(newfstatat), 1, first) == 0
	       && seccomp_rule_add(filter, allow, SCMP_SYS(fstatat64), 1, first) == 0;
}

/*
 * What is not on the list fails and does not kill: a newer C library may try a call that did not
 * exist when the list was made, and knows what to do without.
 */
static bool lock_calls(const int folders[FOLDERS])
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	bool locked = filter;

	for (size_t i = 0; locked && i < sizeof(allowed) / sizeof(allowed[0]); i++)
		locked = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0) == 0;
	for (size_t i = 0; i < FOLDERS; i++)
		if (locked && folders[i] >= 0)
			locked = allow_publishing(filter, folders[i]);
	locked = locked && allow_threads(filter) && allow_fstat(filter) && allow_terminal(filter)
		 && seccomp_load(filter) == 0;
	seccomp_release(filter);
	return locked;
}
#else
static bool lock_calls(const int folders[FOLDERS])
{
	(void)folders;
	return false;
}
#endif

unsigned int qc_sandbox_lock(const struct qc_file *to_publish, const struct qc_file *and_this)
{
	const int folders[FOLDERS] = {folder_of(to_publish), folder_of(and_this)};
	unsigned int parts = lock_paths(folders) ? QC_SANDBOX_LANDLOCK : 0;

	return parts | (lock_calls(folders) ? QC_SANDBOX_SECCOMP : 0);
}

unsigned int qc_sandbox_offers(void)
{
	unsigned int parts = QC_SANDBOX_LIMITS;

	if (landlock_version() >= 1)
		parts |= QC_SANDBOX_LANDLOCK;
#ifdef QC_HAVE_SECCOMP
	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0)
		parts |= QC_SANDBOX_SECCOMP;
#endif
	return parts;
}
