/* This rank's place in the job: joining it before the simulation, leaving it together with all others after. All calls
   are on the thread that uses MPI. */
#ifndef GRAY_SCOTT_MEMBERSHIP_H
#define GRAY_SCOTT_MEMBERSHIP_H

#include <mpi.h>
#include <weftline/weftline.h>

typedef struct membership {
  weft_job* job;
  weft_communicator* world; /* of all ranks of the launch, when they leave together; else NULL */
  MPI_Comm ranks;           /* of those that joined under the name "gray-scott"; freed by membership_leave */
} membership;

/* 0, or -1 (said on stderr). Collective over MPI_COMM_WORLD: servers and consumers join at the same time. `together`:
   they also ask for their world communicator right after, and meet in a barrier on it before they leave. */
int membership_join(membership* m, int together);
/* 0, or -1 (said on stderr). Collective over MPI_COMM_WORLD. Waits for the others without using the processor: if
   they leave together as long as it takes, else for a few seconds. */
int membership_leave(membership* m);

#endif
