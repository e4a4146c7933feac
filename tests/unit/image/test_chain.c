// SPDX-License-Identifier: MIT
#include "unit/image/fixture.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/limits.h"
#include "image/read.h"

static char folder[] = "chain-XXXXXX";

static int enter_folder(void **state)
{
	(void)state;
	memset(folder + sizeof(folder) - 7, 'X', 6);
	assert_non_null(mkdtemp(folder));
	return chdir(folder);
}

static int leave_folder(void **state)
{
	(void)state;
	assert_int_equal(system("rm -rf -- *"), 0);
	assert_int_equal(chdir(".."), 0);
	return rmdir(folder);
}

/* An image whose first cluster, if byte is not 0, is full of it. */
static void make(const char *path, const char *backing, const char *format, uint8_t byte)
{
	struct builder_options o = builder_defaults();
	struct builder *b;
	uint8_t *bytes;
	size_t length;

	o.backing_name = backing;
	o.backing_format = format;
	b = builder_new(&o);
	if (byte != 0)
		builder_data(b, 0, filled(byte));
	builder_finish(b, &bytes, &length);
	builder_write_file(b, path);
	builder_free(b);
}

static int open_chain(const char *path, struct qc_layer **ret, struct qc_err *err)
{
	const struct qc_chain_open how = {.file.lock = QC_LOCK_READ, .policy = QC_CHAIN_ANY};

	return qc_chain_open(path, &how, ret, err);
}

static void assert_refused(const char *path, int code, const char *words)
{
	struct qc_layer *layer;
	struct qc_err err;

	assert_int_equal(open_chain(path, &layer, &err), -code);
	if (strstr(err.text, words) == NULL)
		fail_msg("'%s' lacks '%s'", err.text, words);
}

static void a_chain_reads_through_to_its_lowest_layer(void **state)
{
	struct qc_layer *layer;
	struct qc_err err;
	uint8_t byte = 0;

	(void)state;
	make("base", NULL, NULL, 3);
	make("middle", "base", "qcow2", 0);
	make("top", "middle", "qcow2", 0);
	assert_int_equal(open_chain("top", &layer, &err), 0);
	assert_string_equal(layer->backing->backing->path, "base");
	assert_int_equal(qc_read_layer(layer, qc_guest(10), &byte, 1, &err), 0);
	assert_int_equal(byte, 3);
	qc_layer_close(layer);
}

static void a_raw_file_shows_whole_sectors(void **state)
{
	struct qc_layer *layer;
	struct qc_err err;
	uint8_t bytes[2];

	(void)state;
	assert_int_equal(system("printf abc > base"), 0);
	make("top", "base", "raw", 0);
	assert_int_equal(open_chain("top", &layer, &err), 0);
	assert_null(layer->backing->image);
	assert_int_equal(layer->backing->disk_bytes, 512);
	assert_int_equal(qc_read_layer(layer, qc_guest(2), bytes, 2, &err), 0);
	assert_memory_equal(bytes, "c", 2);
	qc_layer_close(layer);
}

static void a_header_inside_a_raw_file_is_data(void **state)
{
	struct qc_layer *layer;
	struct qc_err err;

	(void)state;
	make("base", "secret", "raw", 0);
	make("top", "base", "raw", 0);
	assert_int_equal(open_chain("top", &layer, &err), 0);
	assert_null(layer->backing->backing);
	qc_layer_close(layer);
}

static void what_was_probed_follows_no_reference(void **state)
{
	struct qc_layer *layer;
	struct qc_err err;

	(void)state;
	make("base", NULL, NULL, 1);
	make("top", "base", NULL, 0);
	assert_int_equal(open_chain("top", &layer, &err), 0);
	assert_non_null(layer->backing->image);
	qc_layer_close(layer);
	make("middle", "base", "qcow2", 1);
	make("top", "middle", NULL, 0);
	assert_refused("top", QC_E_POLICY, "format is not recorded");
}

static void loops_are_refused_whatever_they_are_called(void **state)
{
	(void)state;
	make("one", "two", "qcow2", 0);
	make("two", "./one", "qcow2", 0);
	assert_refused("one", QC_E_FORMAT, "loop");
	make("self", "link", "qcow2", 0);
	assert_int_equal(symlink("self", "link"), 0);
	assert_refused("self", QC_E_FORMAT, "loop");
}

static void a_loop_through_a_writable_image_is_called_a_loop(void **state)
{
	const struct qc_chain_open how = {
		.file = {.writable = true, .lock = QC_LOCK_WRITE},
		.policy = QC_CHAIN_ANY,
	};
	struct qc_layer *layer;
	struct qc_err err;

	(void)state;
	make("self", "self", "qcow2", 0);
	assert_int_equal(qc_chain_open("self", &how, &layer, &err), -QC_E_FORMAT);
	assert_non_null(strstr(err.text, "loop"));
}

static void depth_has_a_limit(void **state)
{
	char path[16], backing[16];
	struct qc_layer *layer;
	struct qc_err err;

	(void)state;
	make("0", NULL, NULL, 0);
	for (unsigned int i = 1; i <= QC_CHAIN_DEPTH_MAX; i++) {
		snprintf(path, sizeof(path), "%u", i);
		snprintf(backing, sizeof(backing), "%u", i - 1);
		make(path, backing, "qcow2", 0);
	}
	snprintf(path, sizeof(path), "%u", QC_CHAIN_DEPTH_MAX - 1);
	assert_int_equal(open_chain(path, &layer, &err), 0);
	qc_layer_close(layer);
	snprintf(path, sizeof(path), "%u", QC_CHAIN_DEPTH_MAX);
	assert_refused(path, QC_E_UNSUPPORTED, "longer than 200");
}

static void only_files_and_known_formats_are_opened(void **state)
{
	(void)state;
	assert_int_equal(mkfifo("fifo", 0600), 0);
	assert_int_equal(mkdir("dir", 0700), 0);
	make("top", "fifo", "raw", 0);
	assert_refused("top", QC_E_IO, "backing file 'fifo'");
	make("top", "dir", "raw", 0);
	assert_refused("top", QC_E_IO, "backing file 'dir'");
	make("top", "json:{}", "raw", 0);
	assert_refused("top", QC_E_POLICY, "plain file name");
	make("base", NULL, NULL, 0);
	make("top", "base", "vmdk", 0);
	assert_refused("top", QC_E_UNSUPPORTED, "'vmdk'");
	make("top", "none", "raw", 0);
	assert_refused("top", QC_E_NOT_FOUND, "backing file 'none'");
}

static void encryption_is_refused_unless_only_metadata_is_wanted(void **state)
{
	struct qc_chain_open how = {.file.lock = QC_LOCK_READ, .policy = QC_CHAIN_ANY};
	struct builder *b = builder_new(NULL);
	struct qc_layer *layer;
	struct qc_err err;
	uint8_t *bytes;
	size_t length;

	(void)state;
	builder_finish(b, &bytes, &length);
	builder_poke32(b, builder_header_field(crypt_method), QC_CRYPT_AES);
	builder_write_file(b, "secret");
	builder_free(b);
	assert_refused("secret", QC_E_UNSUPPORTED, "encrypted");
	how.metadata_only = true;
	assert_int_equal(qc_chain_open("secret", &how, &layer, &err), 0);
	qc_layer_close(layer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter_folder, leave_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_chain_reads_through_to_its_lowest_layer),
		TEST(a_raw_file_shows_whole_sectors),
		TEST(a_header_inside_a_raw_file_is_data),
		TEST(what_was_probed_follows_no_reference),
		TEST(loops_are_refused_whatever_they_are_called),
		TEST(a_loop_through_a_writable_image_is_called_a_loop),
		TEST(depth_has_a_limit),
		TEST(only_files_and_known_formats_are_opened),
		TEST(encryption_is_refused_unless_only_metadata_is_wanted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
