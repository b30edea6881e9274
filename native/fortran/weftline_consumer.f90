! Consuming events.
module weftline_consumer
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: real32, real64, int32, int64
  use weft_codes
  use weftline_c
  use weftline_support
  use weftline_job
  use weftline_selection
  implicit none
  private
  public :: weft_consumer_open, weft_consumer_close, weft_pull, weft_fetch, weft_ack, weft_commit, weft_lag, &
      weft_seek

  type, public :: weft_consumer
    type(c_ptr) :: handle = c_null_ptr
  end type
  type, public :: weft_event
    integer :: partition = 0
    integer(int64) :: offset = 0, time_ns = 0, append_time_ns = 0, data_length = 0 ! the last in bytes
    character(:), allocatable :: metadata
  end type

  !> The selected bytes of an event's data, in the order of memory, into an array with room for them. Waits.
  interface weft_fetch
    module procedure fetch_real64, fetch_real32, fetch_int32, fetch_int64, fetch_complex64
  end interface

contains

  !> from, until: WEFT_FROM_… and WEFT_UNTIL_… with their values (an offset, or nanoseconds since 1970). `share_rank` (from
  !> 0) of `share_size`: a static group. WEFT_TOPIC_UNKNOWN, WEFT_PARTITION_RANGE, WEFT_PARTITION_UNAVAILABLE.
  subroutine weft_consumer_open(job, topic, consumer, name, from, from_value, until, until_value, partitions, &
      share_rank, share_size, ack_every_events, prefetch_events, prefetch_bytes, ierr, errmsg)
    type(weft_job), intent(in) :: job
    character(*), intent(in) :: topic
    type(weft_consumer), intent(out) :: consumer
    character(*), intent(in), optional :: name
    integer, intent(in), optional :: from, until, share_rank, share_size, ack_every_events, prefetch_events
    integer(int64), intent(in), optional :: from_value, until_value, prefetch_bytes
    integer, intent(in), optional :: partitions(:)
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    type(c_consumer_options) :: options
    character(kind=c_char, len=:), allocatable, target :: c_topic, c_name
    integer(c_int32_t), allocatable, target :: list(:)
    type(c_ptr) :: topic_at
    options%size = int(c_sizeof(options), c_int32_t)
    call give(topic, c_topic, topic_at)
    call give(name, c_name, options%name)
    if (present(from)) options%from = from
    if (present(from_value)) options%from_value = from_value
    if (present(until)) options%until = until
    if (present(until_value)) options%until_value = until_value
    if (present(share_rank)) options%share_rank = share_rank
    if (present(share_size)) options%share_size = share_size
    if (present(ack_every_events)) options%ack_every_events = ack_every_events
    if (present(prefetch_events)) options%prefetch_events = prefetch_events
    if (present(prefetch_bytes)) options%prefetch_bytes = prefetch_bytes
    if (present(partitions)) then
      list = int(partitions, c_int32_t)
      options%partitions = c_loc(list)
      options%partition_count = size(list)
    end if
    call done(c_weft_consumer_open(job%handle, topic_at, options, consumer%handle), ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine

  !> Commits what was acknowledged, and closes it.
  subroutine weft_consumer_close(consumer, ierr, errmsg)
    type(weft_consumer), intent(inout) :: consumer
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    integer(c_int) :: code
    code = c_weft_consumer_close(consumer%handle)
    consumer%handle = c_null_ptr
    call done(code, ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine

  !> The next event of any partition, its metadata copied. WEFT_TIMED_OUT loses nothing. With `more` the end of the stream
  !> is no error: it is .false. then, and else .true. where an event came.
  subroutine weft_pull(consumer, event, timeout_ms, more, ierr, errmsg)
    type(weft_consumer), intent(in) :: consumer
    type(weft_event), intent(out) :: event
    integer(int64), intent(in), optional :: timeout_ms
    logical, intent(out), optional :: more
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    type(c_event) :: raw
    integer(c_int) :: code
    code = c_weft_pull(consumer%handle, limit(timeout_ms, WEFT_FOREVER), raw)
    if (present(more)) then
      more = code == WEFT_OK
      if (code == WEFT_END_OF_STREAM) code = WEFT_OK
    end if
    event%metadata = ""
    if (code == WEFT_OK .and. c_associated(raw%metadata)) then
      event%partition = raw%partition
      event%offset = raw%offset
      event%time_ns = raw%time_ns
      event%append_time_ns = raw%append_time_ns
      event%data_length = raw%data_length
      event%metadata = text_at(raw%metadata, raw%metadata_length)
    end if
    call done(code, ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine

  subroutine fetch_real64(consumer, event, array, selection, ierr, errmsg)
    type(weft_consumer), intent(in) :: consumer
    type(weft_event), intent(in) :: event
    real(real64), intent(inout), target :: array(..)
    type(weft_selection), intent(in), optional, target :: selection
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    call fetch(consumer, event, c_loc(array), bytes_of(size(array, kind=int64), 8), is_contiguous(array), selection, &
        ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine
  subroutine fetch_real32(consumer, event, array, selection, ierr, errmsg)
    type(weft_consumer), intent(in) :: consumer
    type(weft_event), intent(in) :: event
    real(real32), intent(inout), target :: array(..)
    type(weft_selection), intent(in), optional, target :: selection
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    call fetch(consumer, event, c_loc(array), bytes_of(size(array, kind=int64), 4), is_contiguous(array), selection, &
        ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine
  subroutine fetch_int32(consumer, event, array, selection, ierr, errmsg)
    type(weft_consumer), intent(in) :: consumer
    type(weft_event), intent(in) :: event
    integer(int32), intent(inout), target :: array(..)
    type(weft_selection), intent(in), optional, target :: selection
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    call fetch(consumer, event, c_loc(array), bytes_of(size(array, kind=int64), 4), is_contiguous(array), selection, &
        ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine
  subroutine fetch_int64(consumer, event, array, selection, ierr, errmsg)
    type(weft_consumer), intent(in) :: consumer
    type(weft_event), intent(in) :: event
    integer(int64), intent(inout), target :: array(..)
    type(weft_selection), intent(in), optional, target :: selection
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    call fetch(consumer, event, c_loc(array), bytes_of(size(array, kind=int64), 8), is_contiguous(array), selection, &
        ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine
  subroutine fetch_complex64(consumer, event, array, selection, ierr, errmsg)
    type(weft_consumer), intent(in) :: consumer
    type(weft_event), intent(in) :: event
    complex(real64), intent(inout), target :: array(..)
    type(weft_selection), intent(in), optional, target :: selection
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    call fetch(consumer, event, c_loc(array), bytes_of(size(array, kind=int64), 16), is_contiguous(array), selection, &
        ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine

  subroutine fetch(consumer, event, address, length, contiguous_, selection, ierr, words)
    type(weft_consumer), intent(in) :: consumer
    type(weft_event), intent(in) :: event
    type(c_ptr), intent(in) :: address
    integer(int64), intent(in) :: length
    logical, intent(in) :: contiguous_
    type(weft_selection), intent(in), optional, target :: selection
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out) :: words
    type(c_run), allocatable, target :: runs(:)
    type(c_run_level), allocatable, target :: levels(:)
    type(c_selection) :: selections(1)
    if (.not. contiguous_) then
      call refuse_section(ierr, words)
      return
    end if
    if (present(selection)) then
      call linked(selection, runs, levels)
    else
      runs = [c_run(0_c_int64_t, event%data_length, 0_c_int32_t, c_null_ptr)]
    end if
    selections(1)%offset = event%offset
    selections(1)%run_count = size(runs)
    if (size(runs) > 0) selections(1)%runs = c_loc(runs)
    call done(c_weft_data_fetch(consumer%handle, int(event%partition, c_int32_t), selections, 1_c_int32_t, address, &
        length, c_null_ptr), ierr, words)
  end subroutine

  !> The event is done; in any order. `ack_every_events` of weft_consumer_open says when that is committed.
  subroutine weft_ack(consumer, event, ierr, errmsg)
    type(weft_consumer), intent(in) :: consumer
    type(weft_event), intent(in) :: event
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    call done(c_weft_ack(consumer%handle, int(event%partition, c_int32_t), event%offset), ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine

  !> Makes durable how far all events are acknowledged, and waits for it.
  subroutine weft_commit(consumer, timeout_ms, ierr, errmsg)
    type(weft_consumer), intent(in) :: consumer
    integer(int64), intent(in), optional :: timeout_ms
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    call done(c_weft_commit_acknowledged(consumer%handle, limit(timeout_ms, WEFT_FOREVER)), ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine

  !> The offset of the next event of the partition, and the one behind its last visible event, as its server says now.
  subroutine weft_lag(consumer, partition, next_offset, visible_end, ierr, errmsg)
    type(weft_consumer), intent(in) :: consumer
    integer, intent(in) :: partition
    integer(int64), intent(out) :: next_offset, visible_end
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    call done(c_weft_consumer_lag(consumer%handle, int(partition, c_int32_t), next_offset, visible_end), ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine

  !> Goes on from another place: WEFT_FROM_… with its value (an offset, or nanoseconds since 1970), in all partitions that it
  !> reads or in some. With an error it stays where it was: WEFT_TRUNCATED behind the end, WEFT_OFFSET_GONE before the first.
  subroutine weft_seek(consumer, from, from_value, partitions, ierr, errmsg)
    type(weft_consumer), intent(in) :: consumer
    integer, intent(in) :: from
    integer(int64), intent(in), optional :: from_value
    integer, intent(in), optional :: partitions(:)
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    integer(c_int32_t), allocatable, target :: list(:)
    integer(c_int32_t) :: count
    integer(c_int64_t) :: value
    type(c_ptr) :: list_at
    list_at = c_null_ptr
    count = 0
    if (present(partitions)) then
      list = int(partitions, c_int32_t)
      list_at = c_loc(list)
      count = size(list, kind=c_int32_t)
    end if
    value = 0
    if (present(from_value)) value = from_value
    call done(c_weft_consumer_seek(consumer%handle, list_at, count, int(from, c_int32_t), value), ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine

end module weftline_consumer
