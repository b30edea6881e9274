/* A complete producer: attaches to a running job and pushes a small field a few times.
     weftline serve --data ./weft &  weftline topic create heat --partitions 2
     example_producer heat 10                      (the group directory is in WEFTLINE_GROUP)
   Each event has JSON metadata and 32 KiB of data, which the server reads out of this program's memory. Ends with 0
   when every event is stored at the topic's durability. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <weftline/weftline.h>

enum { CELLS = 4096 };

int main(int argc, char** argv) {
  const char* topic = argc > 1 ? argv[1] : "heat";
  const long events = argc > 2 ? strtol(argv[2], NULL, 10) : 10;
  if (events < 1) {
    fprintf(stderr, "usage: example_producer [TOPIC [EVENTS]]\n");
    return 2;
  }
  static double field[CELLS];

  weft_job* job = NULL;
  WEFT_TRY(weft_attach(NULL, NULL, &job)); /* NULL: the group directory of WEFTLINE_GROUP, default options */
  weft_producer* out = NULL;
  WEFT_TRY(weft_producer_open(job, topic, NULL, &out));
  weft_region* region = NULL;
  WEFT_TRY(weft_region_register(job, field, sizeof field, &region));

  uint64_t receipt = 0;
  for (long step = 0; step < events; ++step) {
    WEFT_TRY(weft_region_wait(region, WEFT_FOREVER)); /* the server has read the last one: it may be overwritten */
    for (int cell = 0; cell < CELLS; ++cell) field[cell] = (double)(step * CELLS + cell);
    char metadata[64];
    const int length = snprintf(metadata, sizeof metadata, "{\"step\":%ld,\"cells\":%d}", step, CELLS);
    WEFT_TRY(weft_push(out, metadata, (uint64_t)length, region, 0, sizeof field, &receipt));
  }
  WEFT_TRY(weft_flush(out, WEFT_FOREVER));

  weft_event_id id;
  WEFT_TRY(weft_receipt_wait(out, receipt, 0, &id));
  printf("%ld events pushed; the last is offset %" PRIu64 " of partition %" PRIu32 "\n", events, id.offset,
         id.partition);
  WEFT_TRY(weft_producer_close(out, WEFT_FOREVER));
  WEFT_TRY(weft_region_release(region));
  WEFT_TRY(weft_close(job));
  return EXIT_SUCCESS;
}
