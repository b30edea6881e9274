// One joined process used by several threads, each with a job of its own: completions, topics, producers, consumers and
// regions of its own on one lane, one client side, one place in the world. Any thread.
#pragma once

#include "library/job.h"

namespace weft::library {

// A job that is being closed is not shared any more.
void take_ticket_back(weft_job* job);
// weft_close of a shared job.
int close_shared(weft_job* job);

}  // namespace weft::library
