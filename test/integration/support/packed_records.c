/* Pushes and reads the records of packed.test.ts through the C API and the header that `weftline topic header` wrote.

     packed_records push steps 10     records 0 to 9, then one that is a byte too short, which must be refused

     packed_records read steps 10     prints ten records */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <weftline/weftline.h>

#include "steps_record.h"

static void push(weft_job* job, const char* topic, uint32_t count) {
  weft_producer* out = NULL;
  WEFT_TRY(weft_producer_open(job, topic, NULL, &out));
  for (uint32_t step = 0; step < count; ++step) {
    struct {
      steps_record fixed;
      char note[32];
    } record = {.fixed = {.step = step,
                          .t = step * 0.25,
                          .id = UINT64_MAX - step,
                          .label = "from C",
                          .origin = {step, step + 1},
                          .ok = step % 2 == 1,
                          .level = -(int16_t)step}};
    record.fixed.note_bytes = (uint32_t)snprintf(record.note, sizeof record.note, "note %" PRIu32, step);
    WEFT_TRY(weft_push(out, &record, sizeof record.fixed + record.fixed.note_bytes, NULL, 0, 0, NULL));
  }
  const char short_record[sizeof(steps_record) - 1] = {0};
  if (weft_push(out, short_record, sizeof short_record, NULL, 0, 0, NULL) != WEFT_METADATA_INVALID) exit(2);
  printf("%s\n", weft_error_text(NULL));
  WEFT_TRY(weft_flush(out, WEFT_FOREVER));
  WEFT_TRY(weft_producer_close(out, WEFT_FOREVER));
}

static void read_records(weft_job* job, const char* topic, uint32_t count) {
  weft_consumer* in = NULL;
  WEFT_TRY(weft_consumer_open(job, topic, NULL, &in));
  for (uint32_t got = 0; got < count; ++got) {
    weft_event event;
    steps_record record;
    WEFT_TRY(weft_pull(in, 10000, &event));
    if (!read_steps_record(event.metadata, event.metadata_length, &record)) exit(3);
    if (read_steps_record(event.metadata, event.metadata_length - 1, &record)) exit(4);
    printf("%" PRIu32 " %.17g %" PRIu64 " %.*s %" PRIu32 ",%" PRIu32 " %d %d %.*s\n", record.step, record.t, record.id,
           (int)sizeof record.label, record.label, record.origin[0], record.origin[1], record.ok, record.level,
           (int)record.note_bytes, steps_record_note(event.metadata, &record));
  }
  WEFT_TRY(weft_consumer_close(in));
}

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  weft_job* job = NULL;
  WEFT_TRY(weft_attach(NULL, NULL, &job));
  const uint32_t count = (uint32_t)strtoul(argv[3], NULL, 10);
  if (argv[1][0] == 'p')
    push(job, argv[2], count);
  else
    read_records(job, argv[2], count);
  WEFT_TRY(weft_close(job));
  return 0;
}
