! What carry.c does, in Fortran. The file's length is a multiple of PART.
program carry
  use weftline
  implicit none
  integer, parameter :: PART = 40000
  type(weft_job) :: job
  character(8) :: action
  character(64) :: topic
  character(4096) :: file
  integer :: unit

  call get_command_argument(1, action)
  call get_command_argument(2, topic)
  call get_command_argument(3, file)
  call weft_attach(job)
  if (action == "push") then
    open (newunit=unit, file=file, access="stream", form="unformatted", status="old", action="read")
    call push()
  else
    open (newunit=unit, file=file, access="stream", form="unformatted", status="replace", action="write")
    call pull()
  end if
  close (unit)
  call weft_close(job)

contains

  subroutine push()
    type(weft_producer) :: out
    type(weft_region) :: region
    integer(4), target :: words(PART / 4)
    character(32) :: metadata
    integer :: count, status
    call weft_producer_open(job, trim(topic), out)
    call weft_region_register(job, words, region)
    count = 0
    do
      read (unit, iostat=status) words
      if (status /= 0) exit
      write (metadata, "(a,i0,a)") '{"part":', count, '}'
      call weft_push(out, trim(metadata), region)
      call weft_region_wait(region)
      count = count + 1
    end do
    call weft_flush(out)
    call weft_producer_close(out)
    call weft_region_release(region)
  end subroutine

  subroutine pull()
    type(weft_consumer) :: in
    type(weft_event) :: event
    integer(4), target :: words(PART / 4)
    logical :: more
    call weft_consumer_open(job, trim(topic), in, until=WEFT_UNTIL_END)
    do
      call weft_pull(in, event, more=more)
      if (.not. more) exit
      call weft_fetch(in, event, words)
      print "(a)", event%metadata
      write (unit) words(:event%data_length / 4)
    end do
    call weft_consumer_close(in)
  end subroutine

end program carry
