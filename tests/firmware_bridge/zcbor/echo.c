/* What the C that zcbor makes of picante.cddl reads and writes.
 *
 * Each line of stdin is a rule and a body in hex: "pong a1014800...". Each line of stdout is that body as it was read and
 * written again, in hex, or "?" where it was not read, or "!" where what was read could not be written.
 */
#include <stdio.h>
#include <string.h>

#include "wire_decode.h"
#include "wire_encode.h"

#define LONGEST 1018

static union {
	struct hello hello;
	struct ready ready;
	struct event event;
	struct ask ask;
	struct pong pong;
	struct sample sample;
	struct result result;
	struct welcome welcome;
	struct reject reject;
	struct ack ack;
	struct picks picks;
	struct ping ping;
	struct command command;
	struct provision provision;
	struct look look;
} read_as;

/* hello-request has no fields, so zcbor gives it no struct. */
static int decode_hello_request(const uint8_t *body, size_t size, void *as, size_t *end)
{
	(void)as;
	return cbor_decode_hello_request(body, size, NULL, end);
}

static int encode_hello_request(uint8_t *body, size_t size, const void *as, size_t *end)
{
	(void)as;
	return cbor_encode_hello_request(body, size, NULL, end);
}

#define WRAP(rule) \
	static int decode_##rule(const uint8_t *body, size_t size, void *as, size_t *end) \
	{ \
		return cbor_decode_##rule(body, size, as, end); \
	} \
	static int encode_##rule(uint8_t *body, size_t size, const void *as, size_t *end) \
	{ \
		return cbor_encode_##rule(body, size, as, end); \
	}
WRAP(hello)
WRAP(ready)
WRAP(event)
WRAP(ask)
WRAP(pong)
WRAP(sample)
WRAP(result)
WRAP(welcome)
WRAP(reject)
WRAP(ack)
WRAP(picks)
WRAP(ping)
WRAP(command)
WRAP(provision)
WRAP(look)

#define RULE(text, rule) { text, decode_##rule, encode_##rule }
static const struct {
	const char *name;
	int (*decode)(const uint8_t *, size_t, void *, size_t *);
	int (*encode)(uint8_t *, size_t, const void *, size_t *);
} rules[] = {
	RULE("hello", hello),	  RULE("ready", ready),	  RULE("event", event),
	RULE("ask", ask),	  RULE("pong", pong),	  RULE("sample", sample),
	RULE("result", result),	  RULE("welcome", welcome), RULE("hello-request", hello_request),
	RULE("reject", reject),	  RULE("ack", ack),	  RULE("picks", picks),
	RULE("ping", ping),	  RULE("command", command), RULE("provision", provision),
	RULE("look", look),
};

int main(void)
{
	static char rule[32], hex[2 * LONGEST + 1];

	while (scanf("%31s %2036s", rule, hex) == 2) {
		uint8_t body[LONGEST], again[LONGEST];
		size_t size = strlen(hex) / 2, end = 0, known = sizeof(rules) / sizeof(*rules), r = 0;
		unsigned int byte;

		for (size_t i = 0; i < size && sscanf(hex + 2 * i, "%2x", &byte) == 1; i++) {
			body[i] = (uint8_t)byte;
		}
		while (r < known && strcmp(rule, rules[r].name)) {
			r++;
		}
		memset(&read_as, 0xa5, sizeof(read_as));
		if (r == known || rules[r].decode(body, size, &read_as, &end) || end != size) {
			puts("?");
		} else if (rules[r].encode(again, sizeof(again), &read_as, &end)) {
			puts("!");
		} else {
			for (size_t i = 0; i < end; i++) {
				printf("%02x", again[i]);
			}
			puts("");
		}
	}
	return 0;
}
