! weft_sync and weft_seek, on topics that the test made (the group directory is in WEFTLINE_GROUP): `numbers` on disk with
! two partitions, `fleeting` in memory. Ends with 1 and words where something is not as it should be.
program seek_sync
  use, intrinsic :: iso_fortran_env, only: error_unit
  use weftline
  implicit none
  integer, parameter :: EACH = 10
  type(weft_job) :: job
  type(weft_producer) :: out, fleeting
  type(weft_consumer) :: in
  character(:), allocatable :: words
  character(16) :: text
  integer :: number, partition, code
  integer(8) :: next_offset, visible_end

  call weft_attach(job)
  call weft_producer_open(job, "numbers", out)
  do number = 0, EACH - 1
    do partition = 0, 1
      write (text, "(i0)") number
      call weft_push(out, trim(text), partition=partition)
    end do
  end do
  call weft_flush(out)
  call weft_sync(out)
  call weft_sync(out, timeout_ms=60000_8, ierr=code, errmsg=words)
  call expect([code == WEFT_OK, words == ""], "a second weft_sync: " // words)
  call weft_producer_close(out)

  call weft_producer_open(job, "fleeting", fleeting)
  call weft_push(fleeting, "0")
  call weft_flush(fleeting)
  call weft_sync(fleeting, ierr=code, errmsg=words)
  call expect([code == WEFT_UNSUPPORTED], "weft_sync of a topic in memory: " // words)
  call weft_producer_close(fleeting)

  call weft_consumer_open(job, "numbers", in, until=WEFT_UNTIL_END)
  call expect(pulled() == [EACH, EACH], "not all events came")
  ! One that has ended begins anew: in one partition, from the beginning and from an offset in the others'.
  call weft_seek(in, WEFT_FROM_OFFSET, 7_8, partitions=[1])
  call expect(pulled() == [0, EACH - 7], "not the events behind offset 7 of partition 1")
  call weft_seek(in, WEFT_FROM_EARLIEST)
  call expect(pulled() == [EACH, EACH], "not all events came again")
  call weft_seek(in, WEFT_FROM_OFFSET, 8_8, partitions=[0, 1])
  call weft_lag(in, 0, next_offset, visible_end)
  call expect([next_offset, visible_end] == [8_8, int(EACH, 8)], "weft_lag is not at offset 8 of 10")
  call weft_seek(in, WEFT_FROM_OFFSET, 11_8, ierr=code, errmsg=words)
  call expect([code == WEFT_TRUNCATED], "weft_seek behind the end: " // words)
  call expect(pulled() == [EACH - 8, EACH - 8], "a failed weft_seek moved the consumer")
  call weft_seek(in, WEFT_FROM_EARLIEST, partitions=[2], ierr=code, errmsg=words)
  call expect([code == WEFT_PARTITION_RANGE], "weft_seek in a partition that there is not: " // words)
  call weft_consumer_close(in)
  call weft_close(job)
  print "(a)", "all as it should be"

contains

  ! How many events of each partition come until the end; each is as it was pushed.
  function pulled() result(counts)
    integer :: counts(0:1)
    type(weft_event) :: event
    logical :: more
    counts = 0
    do
      call weft_pull(in, event, more=more)
      if (.not. more) exit
      counts(event%partition) = counts(event%partition) + 1
      write (text, "(i0)") event%offset
      call expect([event%metadata == trim(text)], "another event at offset " // trim(text))
    end do
  end function

  subroutine expect(holds, otherwise)
    logical, intent(in) :: holds(:)
    character(*), intent(in) :: otherwise
    if (all(holds)) return
    write (error_unit, "(a)") otherwise
    error stop 1
  end subroutine

end program seek_sync
