! Pushing events.
module weftline_producer
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: real32, real64, int32, int64
  use weft_codes
  use weftline_c
  use weftline_support
  use weftline_job
  use weftline_region
  implicit none
  private
  public :: weft_producer_open, weft_stored_before, weft_producer_close, weft_push, weft_receipt_wait, weft_flush, &
      weft_sync

  type, public :: weft_producer
    type(c_ptr) :: handle = c_null_ptr
  end type

  !> One event: metadata, and data out of a region (all of it, or `length` bytes behind the first `at` bytes), out of an
  !> array, or none. An array of more than 16 KiB is not copied: it must stay unchanged until its receipt, or the flush.
  !> `partition` (from 0) or `key` for topics whose selector demands one. `receipt`: for weft_receipt_wait.
  interface weft_push
    module procedure push_region, push_real64, push_real32, push_int32, push_int64, push_complex64
  end interface

contains

  subroutine weft_producer_open(job, topic, producer, name, batch_events, batch_bytes, batch_data_bytes, &
      batches_in_flight, linger_ms, when_full, ordering, ierr, errmsg)
    type(weft_job), intent(in) :: job
    character(*), intent(in) :: topic
    type(weft_producer), intent(out) :: producer
    character(*), intent(in), optional :: name
    integer, intent(in), optional :: batch_events, batches_in_flight, linger_ms, when_full, ordering
    integer(int64), intent(in), optional :: batch_bytes, batch_data_bytes
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    type(c_producer_options) :: options
    character(kind=c_char, len=:), allocatable, target :: c_topic, c_name
    type(c_ptr) :: topic_at
    options%size = int(c_sizeof(options), c_int32_t)
    call give(topic, c_topic, topic_at)
    call give(name, c_name, options%name)
    if (present(batch_events)) options%batch_events = batch_events
    if (present(batch_bytes)) options%batch_bytes = batch_bytes
    if (present(batch_data_bytes)) options%batch_data_bytes = batch_data_bytes
    if (present(batches_in_flight)) options%batches_in_flight = batches_in_flight
    if (present(linger_ms)) options%linger_ms = linger_ms
    if (present(when_full)) options%when_full = when_full
    if (present(ordering)) options%ordering = ordering
    call done(c_weft_producer_open(job%handle, topic_at, options, producer%handle), ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine

  !> Behind the last event stored in the partition under this producer's name before this one was opened; 0: none.
  subroutine weft_stored_before(producer, partition, next_offset, ierr, errmsg)
    type(weft_producer), intent(in) :: producer
    integer, intent(in) :: partition
    integer(int64), intent(out) :: next_offset
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    call done(c_weft_producer_stored_before(producer%handle, int(partition, c_int32_t), next_offset), ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine

  !> Flushes first; it is closed whatever that says.
  subroutine weft_producer_close(producer, timeout_ms, ierr, errmsg)
    type(weft_producer), intent(inout) :: producer
    integer(int64), intent(in), optional :: timeout_ms
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    integer(c_int) :: code
    code = c_weft_producer_close(producer%handle, limit(timeout_ms, WEFT_FOREVER))
    producer%handle = c_null_ptr
    call done(code, ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine

  subroutine push_region(producer, metadata, region, at, length, partition, key, receipt, ierr, errmsg)
    type(weft_producer), intent(in) :: producer
    character(*), intent(in) :: metadata
    type(weft_region), intent(in), optional :: region
    integer(int64), intent(in), optional :: at, length
    integer, intent(in), optional :: partition
    character(*), intent(in), optional :: key
    integer(int64), intent(out), optional :: receipt
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    type(c_piece) :: data
    integer(int64) :: skipped
    if (present(region)) then
      skipped = 0
      if (present(at)) skipped = at
      data%region = region%handle
      data%length = weft_region_length(region) - skipped
      if (present(length)) data%length = length
      data%address = behind(weft_region_memory(region), skipped)
    end if
    call push(producer, metadata, data, present(region), partition, key, receipt, ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine

  subroutine push_real64(producer, metadata, array, partition, key, receipt, ierr, errmsg)
    type(weft_producer), intent(in) :: producer
    character(*), intent(in) :: metadata
    real(real64), intent(in), target :: array(..)
    integer, intent(in), optional :: partition
    character(*), intent(in), optional :: key
    integer(int64), intent(out), optional :: receipt
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    call push_array(producer, metadata, c_loc(array), bytes_of(size(array, kind=int64), 8), is_contiguous(array), &
        partition, key, receipt, ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine
  subroutine push_real32(producer, metadata, array, partition, key, receipt, ierr, errmsg)
    type(weft_producer), intent(in) :: producer
    character(*), intent(in) :: metadata
    real(real32), intent(in), target :: array(..)
    integer, intent(in), optional :: partition
    character(*), intent(in), optional :: key
    integer(int64), intent(out), optional :: receipt
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    call push_array(producer, metadata, c_loc(array), bytes_of(size(array, kind=int64), 4), is_contiguous(array), &
        partition, key, receipt, ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine
  subroutine push_int32(producer, metadata, array, partition, key, receipt, ierr, errmsg)
    type(weft_producer), intent(in) :: producer
    character(*), intent(in) :: metadata
    integer(int32), intent(in), target :: array(..)
    integer, intent(in), optional :: partition
    character(*), intent(in), optional :: key
    integer(int64), intent(out), optional :: receipt
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    call push_array(producer, metadata, c_loc(array), bytes_of(size(array, kind=int64), 4), is_contiguous(array), &
        partition, key, receipt, ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine
  subroutine push_int64(producer, metadata, array, partition, key, receipt, ierr, errmsg)
    type(weft_producer), intent(in) :: producer
    character(*), intent(in) :: metadata
    integer(int64), intent(in), target :: array(..)
    integer, intent(in), optional :: partition
    character(*), intent(in), optional :: key
    integer(int64), intent(out), optional :: receipt
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    call push_array(producer, metadata, c_loc(array), bytes_of(size(array, kind=int64), 8), is_contiguous(array), &
        partition, key, receipt, ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine
  subroutine push_complex64(producer, metadata, array, partition, key, receipt, ierr, errmsg)
    type(weft_producer), intent(in) :: producer
    character(*), intent(in) :: metadata
    complex(real64), intent(in), target :: array(..)
    integer, intent(in), optional :: partition
    character(*), intent(in), optional :: key
    integer(int64), intent(out), optional :: receipt
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    call push_array(producer, metadata, c_loc(array), bytes_of(size(array, kind=int64), 16), is_contiguous(array), &
        partition, key, receipt, ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine

  subroutine push_array(producer, metadata, address, length, contiguous_, partition, key, receipt, ierr, words)
    type(weft_producer), intent(in) :: producer
    character(*), intent(in) :: metadata
    type(c_ptr), intent(in) :: address
    integer(int64), intent(in) :: length
    logical, intent(in) :: contiguous_
    integer, intent(in), optional :: partition
    character(*), intent(in), optional :: key
    integer(int64), intent(out), optional :: receipt
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out) :: words
    type(c_piece) :: data
    if (.not. contiguous_) then
      call refuse_section(ierr, words)
      return
    end if
    data%address = address
    data%length = length
    call push(producer, metadata, data, .true., partition, key, receipt, ierr, words)
  end subroutine

  subroutine push(producer, metadata, data, has_data, partition, key, receipt, ierr, words)
    type(weft_producer), intent(in) :: producer
    character(*), intent(in), target :: metadata
    type(c_piece), intent(in) :: data
    logical, intent(in) :: has_data
    integer, intent(in), optional :: partition
    character(*), intent(in), optional, target :: key
    integer(int64), intent(out), optional :: receipt
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out) :: words
    integer(c_int32_t) :: chosen
    integer(c_int64_t) :: number
    integer(c_int) :: code
    type(c_piece) :: pieces(1)
    chosen = -1
    if (present(partition)) then
      chosen = int(partition, c_int32_t)
    else if (present(key)) then
      code = c_weft_partition_of_key(producer%handle, address_of(key), len(key, kind=c_int64_t), chosen)
      if (code /= WEFT_OK) then
        call done(code, ierr, words)
        return
      end if
    end if
    pieces(1) = data
    code = c_weft_push_pieces(producer%handle, chosen, address_of(metadata), len(metadata, kind=c_int64_t), pieces, &
        merge(1_c_int32_t, 0_c_int32_t, has_data), number)
    if (present(receipt)) receipt = merge(number, 0_c_int64_t, code == WEFT_OK)
    call done(code, ierr, words)
  end subroutine

  !> Until the event is stored at the topic's durability: where it is. WEFT_TIMED_OUT: still under way.
  subroutine weft_receipt_wait(producer, receipt, timeout_ms, partition, offset, ierr, errmsg)
    type(weft_producer), intent(in) :: producer
    integer(int64), intent(in) :: receipt
    integer(int64), intent(in), optional :: timeout_ms
    integer, intent(out), optional :: partition
    integer(int64), intent(out), optional :: offset
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    type(c_event_id) :: id
    integer(c_int) :: code
    code = c_weft_receipt_wait(producer%handle, receipt, limit(timeout_ms, WEFT_FOREVER), id)
    if (present(partition)) partition = id%partition
    if (present(offset)) offset = id%offset
    call done(code, ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine

  !> Sends what is open, and waits until all is stored at the topic's durability; the first failed batch's code, once.
  subroutine weft_flush(producer, timeout_ms, ierr, errmsg)
    type(weft_producer), intent(in) :: producer
    integer(int64), intent(in), optional :: timeout_ms
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    call done(c_weft_flush(producer%handle, limit(timeout_ms, WEFT_FOREVER)), ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine

  !> Makes durable what was acknowledged so far (weft_flush), whatever the topic's durability: it survives the loss of power
  !> of its servers. WEFT_UNSUPPORTED: the topic is kept in memory. WEFT_TIMED_OUT: it goes on.
  subroutine weft_sync(producer, timeout_ms, ierr, errmsg)
    type(weft_producer), intent(in) :: producer
    integer(int64), intent(in), optional :: timeout_ms
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    call done(c_weft_sync(producer%handle, limit(timeout_ms, WEFT_FOREVER)), ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine

end module weftline_producer
