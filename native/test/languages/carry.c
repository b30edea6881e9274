/* A client in C from outside the MPI world (the group directory is in WEFTLINE_GROUP):
     carry push TOPIC FILE    the file's bytes as events of PART bytes, with metadata {"part":0}, {"part":1}, …
     carry pull TOPIC FILE    the data of what is stored into the file, one after the other; metadata goes to stdout
   The same in each language, so that what one pushed another can pull: test/integration/hosts.test.ts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weftline/weftline.h>

enum { PART = 40000 };

static void push(weft_job* job, const char* topic, FILE* file) {
  static char part[PART];
  weft_producer* out = NULL;
  weft_region* region = NULL;
  WEFT_TRY(weft_producer_open(job, topic, NULL, &out));
  WEFT_TRY(weft_region_register(job, part, sizeof part, &region));
  size_t length = fread(part, 1, sizeof part, file);
  for (int count = 0; length > 0; ++count) {
    char metadata[32];
    const int letters = snprintf(metadata, sizeof metadata, "{\"part\":%d}", count);
    WEFT_TRY(weft_push(out, metadata, (uint64_t)letters, region, 0, length, NULL));
    WEFT_TRY(weft_region_wait(region, WEFT_FOREVER));
    length = fread(part, 1, sizeof part, file);
  }
  WEFT_TRY(weft_flush(out, WEFT_FOREVER));
  WEFT_TRY(weft_producer_close(out, WEFT_FOREVER));
  WEFT_TRY(weft_region_release(region));
}

static void pull(weft_job* job, const char* topic, FILE* file) {
  static char part[PART];
  weft_consumer_options options = WEFT_CONSUMER_OPTIONS_DEFAULT;
  options.until = WEFT_UNTIL_END;
  weft_consumer* in = NULL;
  WEFT_TRY(weft_consumer_open(job, topic, &options, &in));
  weft_event event;
  int code = weft_pull(in, WEFT_FOREVER, &event);
  for (; code == WEFT_OK; code = weft_pull(in, WEFT_FOREVER, &event)) {
    const weft_run all = {.start = 0, .length = event.data_length};
    const weft_selection selection = {.offset = event.offset, .runs = &all, .run_count = 1};
    WEFT_TRY(weft_data_fetch(in, event.partition, &selection, 1, part, sizeof part, NULL));
    printf("%.*s\n", (int)event.metadata_length, (const char*)event.metadata);
    if (fwrite(part, 1, event.data_length, file) != event.data_length) exit(EXIT_FAILURE);
  }
  if (code != WEFT_END_OF_STREAM) WEFT_TRY(code);
  WEFT_TRY(weft_consumer_close(in));
}

int main(int argc, char** argv) {
  const int pushes = argc == 4 && strcmp(argv[1], "push") == 0;
  FILE* file = argc == 4 ? fopen(argv[3], pushes ? "rb" : "wb") : NULL;
  if (file == NULL) return 2;
  weft_job* job = NULL;
  WEFT_TRY(weft_attach(NULL, NULL, &job));
  if (pushes) {
    push(job, argv[2], file);
  } else {
    pull(job, argv[2], file);
  }
  WEFT_TRY(weft_close(job));
  return fclose(file) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
