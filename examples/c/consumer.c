/* A complete consumer: attaches to a running job and reads what example_producer pushed. Of every event's 64 x 64 field
   it fetches the 8 x 8 box in the middle and prints its mean.
     example_consumer heat 10 reader               (the group directory is in WEFTLINE_GROUP)
   With a name it commits its position: started again, it goes on behind the last event that it committed. Ends with 0
   when it had as many events as it wanted, with 3 when none came for 10 s. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <weftline/weftline.h>

enum { SIDE = 64, BOX = 8 };

int main(int argc, char** argv) {
  const char* topic = argc > 1 ? argv[1] : "heat";
  const long events = argc > 2 ? strtol(argv[2], NULL, 10) : 10;
  if (events < 1) {
    fprintf(stderr, "usage: example_consumer [TOPIC [EVENTS [NAME]]]\n");
    return 2;
  }
  weft_job* job = NULL;
  WEFT_TRY(weft_attach(NULL, NULL, &job));
  weft_consumer_options options = WEFT_CONSUMER_OPTIONS_DEFAULT;
  options.name = argc > 3 ? argv[3] : NULL;
  weft_consumer* in = NULL;
  WEFT_TRY(weft_consumer_open(job, topic, &options, &in));

  /* The box as runs of bytes: made once, used for every event. */
  const uint64_t shape[2] = {SIDE, SIDE};
  const uint64_t origin[2] = {(SIDE - BOX) / 2, (SIDE - BOX) / 2};
  const uint64_t size[2] = {BOX, BOX};
  weft_run run;
  weft_run_level level;
  WEFT_TRY(weft_box(2, shape, origin, size, sizeof(double), &run, &level));

  for (long got = 0; got < events; ++got) {
    weft_event event;
    const int code = weft_pull(in, 10000, &event);
    if (code == WEFT_TIMED_OUT) {
      fprintf(stderr, "example_consumer: no event for 10 s, %ld of %ld were there; is the producer running?\n", got,
              events);
      return 3;
    }
    WEFT_TRY(code);
    double box[BOX * BOX];
    const weft_selection selection = {.offset = event.offset, .destination_at = 0, .runs = &run, .run_count = 1};
    WEFT_TRY(weft_data_fetch(in, event.partition, &selection, 1, box, sizeof box, NULL));
    double mean = 0;
    for (int cell = 0; cell < BOX * BOX; ++cell) mean += box[cell] / (BOX * BOX);
    printf("%" PRIu32 ":%" PRIu64 " %.*s mean %.1f\n", event.partition, event.offset, (int)event.metadata_length,
           (const char*)event.metadata, mean);
    if (options.name != NULL) WEFT_TRY(weft_commit(in, event.partition, event.offset + 1, WEFT_FOREVER));
  }
  WEFT_TRY(weft_consumer_close(in));
  WEFT_TRY(weft_close(job));
  return EXIT_SUCCESS;
}
