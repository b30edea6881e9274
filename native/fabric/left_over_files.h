// libfabric's shm keeps a file in /dev/shm per endpoint, and a killed process leaves it. Endpoints get a name of our
// own that says whose it is, so that what is left can be recognised. Any thread.
#pragma once

#include <cstdint>
#include <string>

namespace weft::fabric {

// "weftline-NAMESPACE-PID-START-RANDOM", numbers in hexadecimal; the library appends to it.
std::string left_over_file_name(uint64_t random);

// Removes files of that form whose process is proven dead: made in our pid namespace (others may share /dev/shm with
// us, and their pids mean nothing here), by our user, by a process of which the pid is free or was given again.
void remove_left_over_files();

}  // namespace weft::fabric
