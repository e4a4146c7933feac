// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <unistd.h>

#include "image/reference.h"

static void assert_resolves(const char *image, const char *name, const char *expected)
{
	struct qc_err err;
	char *path = NULL;

	assert_int_equal(qc_reference_resolve(image, name, &path, &err), 0);
	assert_string_equal(path, expected);
	free(path);
}

static void relative_names_start_at_the_image(void **state)
{
	(void)state;
	assert_resolves("disk.qcow2", "base.img", "base.img");
	assert_resolves("./a/disk.qcow2", "../base.img", "./a/../base.img");
	assert_resolves("/a/disk.qcow2", "b/base.img", "/a/b/base.img");
	assert_resolves("/a/disk.qcow2", "/base.img", "/base.img");
	assert_resolves("/a/disk.qcow2", "file:/base.img", "/base.img");
	assert_resolves("/a/disk.qcow2", "./a:b", "/a/./a:b");
	assert_resolves("/a/disk.qcow2", "b/c:d", "/a/b/c:d");
}

static void names_with_a_protocol_are_refused(void **state)
{
	static const char *const names[] = {
		"json:{\"driver\":\"raw\"}", "nbd://host/x", "a:b", ":x", "fat:rw:/etc", "file:",
	};
	struct qc_err err;
	char *path;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(qc_reference_resolve("d.qcow2", names[i], &path, &err),
				 -QC_E_POLICY);
}

static void the_directory_policy_sees_through_symbolic_links(void **state)
{
	char folder[] = "reference-XXXXXX";
	struct qc_err err;

	(void)state;
	assert_non_null(mkdtemp(folder));
	assert_int_equal(chdir(folder), 0);
	assert_int_equal(
		system("mkdir -p in/sub in-side && touch in/disk in/sub/base out in-side/x "
		       "&& ln -s ../out in/link && ln -s sub/base in/inner"),
		0);
	assert_int_equal(qc_reference_allow(QC_CHAIN_DIR, "in/disk", "in/sub/base", &err), 0);
	assert_int_equal(qc_reference_allow(QC_CHAIN_DIR, "in/disk", "in/inner", &err), 0);
	assert_int_equal(qc_reference_allow(QC_CHAIN_DIR, "in/disk", "in/link", &err),
			 -QC_E_POLICY);
	assert_int_equal(qc_reference_allow(QC_CHAIN_DIR, "in/disk", "in/../out", &err),
			 -QC_E_POLICY);
	assert_int_equal(qc_reference_allow(QC_CHAIN_DIR, "in/disk", "in-side/x", &err),
			 -QC_E_POLICY);
	assert_int_equal(qc_reference_allow(QC_CHAIN_DIR, "in/disk", "in/none", &err),
			 -QC_E_NOT_FOUND);
	assert_int_equal(qc_reference_allow(QC_CHAIN_ANY, "in/disk", "out", &err), 0);
	assert_int_equal(qc_reference_allow(QC_CHAIN_NONE, "in/disk", "in/sub/base", &err),
			 -QC_E_POLICY);
	assert_int_equal(system("rm -r in in-side out"), 0);
	assert_int_equal(chdir(".."), 0);
	assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(relative_names_start_at_the_image),
		cmocka_unit_test(names_with_a_protocol_are_refused),
		cmocka_unit_test(the_directory_policy_sees_through_symbolic_links),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
