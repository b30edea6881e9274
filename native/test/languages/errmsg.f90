! What `errmsg` holds after a call, whatever it held before: "" or the words, no longer and no shorter. On a topic `words`
! that the test made (the group directory is in WEFTLINE_GROUP). Ends with 1 and words where something is not so.
program errmsg
  use, intrinsic :: iso_fortran_env, only: error_unit, real64
  use weftline
  implicit none
  character(*), parameter :: SECTION = "WEFT_INVALID_ARGUMENT: the array is not contiguous; give a whole array, or a " // &
      "section of whole leading dimensions"
  type(weft_job) :: job
  type(weft_producer) :: out
  type(weft_consumer) :: in
  type(weft_event) :: event
  type(weft_region) :: region
  type(weft_selection) :: selection, narrowed
  real(real64), target :: array(8, 8) = 1
  integer :: code
  integer(8) :: receipt, next_offset, visible_end
  logical :: more
  character(:), allocatable :: words

  words = repeat("x", 500)
  call weft_attach(job, group="/nowhere/at/all", ierr=code, errmsg=words)
  call failed(WEFT_GROUP_MISSING, "WEFT_GROUP_MISSING: ", "weft_attach")
  call weft_attach(job, ierr=code, errmsg=words)
  call went_well("weft_attach")
  call weft_topic_create(job, "words", ierr=code, errmsg=words)
  call failed(WEFT_TOPIC_EXISTS, "WEFT_TOPIC_EXISTS: ", "weft_topic_create")
  call weft_describe(job, ierr=code, errmsg=words)
  call went_well("weft_describe")

  call weft_producer_open(job, "absent", out, ierr=code, errmsg=words)
  call failed(WEFT_TOPIC_UNKNOWN, "WEFT_TOPIC_UNKNOWN: ", "weft_producer_open")
  call weft_producer_open(job, "words", out, name="teller", ierr=code, errmsg=words)
  call went_well("weft_producer_open")
  call weft_stored_before(out, 0, next_offset, ierr=code, errmsg=words)
  call went_well("weft_stored_before")
  call weft_push(out, "{}", array(::2, :), ierr=code, errmsg=words)
  call exactly(SECTION, "weft_push of a section")
  call weft_push(out, "{}", array, partition=7, ierr=code, errmsg=words)
  call failed(WEFT_PARTITION_RANGE, "WEFT_PARTITION_RANGE: ", "weft_push")
  call weft_push(out, "{}", array, receipt=receipt, ierr=code, errmsg=words)
  call went_well("weft_push of an array")
  call weft_receipt_wait(out, receipt, ierr=code, errmsg=words)
  call went_well("weft_receipt_wait")

  call weft_region_register(job, array(::2, :), region, ierr=code, errmsg=words)
  call exactly(SECTION, "weft_region_register of a section")
  call weft_region_register(job, array, region, ierr=code, errmsg=words)
  call went_well("weft_region_register")
  call weft_push(out, "{}", region, ierr=code, errmsg=words)
  call went_well("weft_push of a region")
  call weft_flush(out, ierr=code, errmsg=words)
  call went_well("weft_flush")
  call weft_region_wait(region, ierr=code, errmsg=words)
  call went_well("weft_region_wait")
  call weft_region_release(region, ierr=code, errmsg=words)
  call went_well("weft_region_release")
  call weft_region_allocate(job, 4096_8, region, ierr=code, errmsg=words)
  call went_well("weft_region_allocate")
  call weft_sync(out, ierr=code, errmsg=words)
  call went_well("weft_sync")
  call weft_producer_close(out, ierr=code, errmsg=words)
  call went_well("weft_producer_close")

  call weft_box(selection, [8, 8], [1], [1, 1], ierr=code, errmsg=words)
  call failed(WEFT_INVALID_ARGUMENT, "WEFT_INVALID_ARGUMENT: shape, first and extent ", "weft_box of two minds")
  call weft_box(selection, [8, 8], [8, 8], [2, 1], ierr=code, errmsg=words)
  call failed(WEFT_SELECTION_OUTSIDE, "WEFT_SELECTION_OUTSIDE: ", "weft_box")
  call weft_box(selection, [8, 8], [1, 1], [8, 1], ierr=code, errmsg=words)
  call went_well("weft_box")
  call weft_narrow(narrowed, selection, selection, ierr=code, errmsg=words)
  call went_well("weft_narrow")

  call weft_consumer_open(job, "absent", in, ierr=code, errmsg=words)
  call failed(WEFT_TOPIC_UNKNOWN, "WEFT_TOPIC_UNKNOWN: ", "weft_consumer_open")
  call weft_consumer_open(job, "words", in, name="reader", until=WEFT_UNTIL_END, ierr=code, errmsg=words)
  call went_well("weft_consumer_open")
  call weft_pull(in, event, ierr=code, errmsg=words)
  call went_well("weft_pull")
  call weft_fetch(in, event, array(::2, :), ierr=code, errmsg=words)
  call exactly(SECTION, "weft_fetch into a section")
  call weft_fetch(in, event, array, ierr=code, errmsg=words)
  call went_well("weft_fetch")
  call weft_ack(in, event, ierr=code, errmsg=words)
  call went_well("weft_ack")
  call weft_commit(in, ierr=code, errmsg=words)
  call went_well("weft_commit")
  call weft_lag(in, 7, next_offset, visible_end, ierr=code, errmsg=words)
  call failed(WEFT_PARTITION_RANGE, "WEFT_PARTITION_RANGE: ", "weft_lag")
  call weft_seek(in, WEFT_FROM_OFFSET, 100_8, ierr=code, errmsg=words)
  call failed(WEFT_TRUNCATED, "WEFT_TRUNCATED: ", "weft_seek")
  call weft_pull(in, event, more=more, ierr=code, errmsg=words)
  call went_well("weft_pull")
  call weft_pull(in, event, ierr=code, errmsg=words)
  call failed(WEFT_END_OF_STREAM, "WEFT_END_OF_STREAM: ", "weft_pull at the end")
  call weft_consumer_close(in, ierr=code, errmsg=words)
  call went_well("weft_consumer_close")
  call weft_close(job, ierr=code, errmsg=words)
  call went_well("weft_close")
  print "(a)", "all as it should be"

contains

  ! The next call finds words of another length in it, so that none of them can be right by what was there.
  subroutine went_well(what)
    character(*), intent(in) :: what
    if (code /= WEFT_OK .or. .not. allocated(words)) call complain(what // " failed: ")
    if (len(words) /= 0) call complain("errmsg is not empty after " // what // ": ")
    words = repeat("x", 500)
  end subroutine

  subroutine failed(wanted, begin, what)
    integer, intent(in) :: wanted
    character(*), intent(in) :: begin, what
    if (code /= wanted) call complain(what // " did not fail as it should: ")
    if (index(words, begin) /= 1) call complain(what // " does not say " // begin)
    ! An end cut off, or what lay behind it in memory.
    if (words /= weft_error_text() .and. wanted /= WEFT_INVALID_ARGUMENT) call complain(what // " says not all, or more: ")
    if (len(words) /= len_trim(words)) call complain(what // " says more than its words: ")
    words = "x"
  end subroutine

  subroutine exactly(wanted, what)
    character(*), intent(in) :: wanted, what
    if (code /= WEFT_INVALID_ARGUMENT .or. len(words) /= len(wanted)) call complain(what // ": ")
    if (words /= wanted) call complain(what // ": ")
    words = repeat("x", 500)
  end subroutine

  subroutine complain(text)
    character(*), intent(in) :: text
    write (error_unit, "(2a,i0,a,i0)") text, "code ", code, ", length ", len(words)
    if (len(words) < 1000) write (error_unit, "(a)") words
    error stop 1
  end subroutine

end program errmsg
