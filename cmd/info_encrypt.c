// SPDX-License-Identifier: MIT
/*
 * How an image is encrypted: the method, and what a LUKS header (version 1, "LUKS On-Disk Format
 * Specification" 1.2.3) says in the clear. No key is needed and none is looked at.
 */
#include <stdio.h>
#include <string.h>

#include "base/byte_order.h"
#include "cmd/emit.h"
#include "cmd/info_value.h"

#define LUKS_MAGIC "LUKS\xba\xbe"
#define LUKS_SLOTS 8u
#define LUKS_SLOT_ACTIVE 0x00ac71f3u
#define LUKS_SECTOR_BYTES 512u

struct luks_slot {
	qc_be32 active;	    /* +0x00 */
	qc_be32 iterations; /* +0x04 */
	uint8_t salt[32];   /* +0x08 */
	qc_be32 key_sector; /* +0x28 */
	qc_be32 stripes;    /* +0x2c */
};

struct luks_header {
	uint8_t magic[6];		   /* +0x00 */
	qc_be16 version;		   /* +0x06 */
	char cipher_name[32];		   /* +0x08 */
	char cipher_mode[32];		   /* +0x28 */
	char hash_spec[32];		   /* +0x48 */
	qc_be32 payload_sector;		   /* +0x68 */
	qc_be32 key_bytes;		   /* +0x6c */
	uint8_t digest[20];		   /* +0x70 */
	uint8_t salt[32];		   /* +0x84 */
	qc_be32 iterations;		   /* +0xa4 */
	char uuid[40];			   /* +0xa8 */
	struct luks_slot slot[LUKS_SLOTS]; /* +0xd0 */
};
_Static_assert(sizeof(struct luks_header) == 592, "the header of LUKS 1");

/* A field of fixed size as a string that ends, of printing characters. */
struct field {
	char text[41];
};

static struct field field_of(const char *bytes, size_t length)
{
	struct field field = {0};

	snprintf(field.text, sizeof(field.text), "%.*s", (int)length, bytes);
	return field;
}

static json_t *slots_value(const struct luks_header *luks)
{
	json_t *slots = json_array();

	for (uint32_t i = 0; i < LUKS_SLOTS; i++) {
		const struct luks_slot *slot = &luks->slot[i];
		bool active = qc_be32_get(slot->active) == LUKS_SLOT_ACTIVE;
		json_t *value = json_pack("{s:b}", "active", active);

		if (active)
			json_object_set_new(value, "iters",
					    emit_number(qc_be32_get(slot->iterations)));
		json_object_set_new(value, "key-offset",
				    emit_number((uint64_t)qc_be32_get(slot->key_sector)
						* LUKS_SECTOR_BYTES));
		if (active)
			json_object_set_new(value, "stripes",
					    emit_number(qc_be32_get(slot->stripes)));
		json_array_append_new(slots, value);
	}
	return slots;
}

/* "aes-256": the name and the bits of one key, of which XTS has two. */
static json_t *cipher_value(const struct luks_header *luks, const char *mode)
{
	uint32_t bits = qc_be32_get(luks->key_bytes) / (strcmp(mode, "xts") == 0 ? 2 : 1) * 8;
	struct field name = field_of(luks->cipher_name, sizeof(luks->cipher_name));

	return json_sprintf("%s-%u", name.text, bits);
}

/* The mode field reads "xts-plain64" or "cbc-essiv:sha256". */
static json_t *luks_value(const struct luks_header *luks)
{
	struct field mode = field_of(luks->cipher_mode, sizeof(luks->cipher_mode));
	struct field hash = field_of(luks->hash_spec, sizeof(luks->hash_spec));
	struct field uuid = field_of(luks->uuid, sizeof(luks->uuid));
	char *ivgen = mode.text + strcspn(mode.text, "-");
	char *ivgen_hash;
	json_t *value;

	if (*ivgen != '\0')
		*ivgen++ = '\0';
	ivgen_hash = ivgen + strcspn(ivgen, ":");
	if (*ivgen_hash != '\0')
		*ivgen_hash++ = '\0';
	value = json_pack("{s:o,s:o,s:o,s:o,s:s,s:o,s:o,s:o,s:o}", "ivgen-alg", emit_text(ivgen),
			  "hash-alg", emit_text(hash.text), "cipher-alg",
			  cipher_value(luks, mode.text), "uuid", emit_text(uuid.text), "format",
			  "luks", "cipher-mode", emit_text(mode.text), "slots", slots_value(luks),
			  "payload-offset",
			  emit_number((uint64_t)qc_be32_get(luks->payload_sector)
				      * LUKS_SECTOR_BYTES),
			  "master-key-iters", emit_number(qc_be32_get(luks->iterations)));
	if (*ivgen_hash != '\0')
		json_object_set_new(value, "ivgen-hash-alg", emit_text(ivgen_hash));
	return value;
}

int info_value_encrypt(const struct qc_image *image, json_t **ret, struct qc_err *err)
{
	struct luks_header luks;
	int rc;

	if (image->header.crypt_method == QC_CRYPT_AES) {
		*ret = json_pack("{s:s}", "format", "aes");
		return 0;
	}
	rc = qc_file_read(image->file, image->extensions.crypto_header.byte, &luks, sizeof(luks),
			  err);
	if (rc < 0)
		return rc;
	if (memcmp(luks.magic, LUKS_MAGIC, sizeof(luks.magic)) != 0
	    || qc_be16_get(luks.version) != 1)
		return qc_fail(err, QC_E_FORMAT, "the LUKS header makes no sense");
	*ret = luks_value(&luks);
	return 0;
}
