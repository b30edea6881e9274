! Reads what `heat` stored: of each event the 8 x 4 values that begin at (2, 3), and their mean.
!   probe [NAME]                                  (the group directory is in WEFTLINE_GROUP)
! With a name it acknowledges: started again, it goes on behind the last event.
program probe
  use weftline
  implicit none
  integer, parameter :: SHAPE_OF_STRIP(2) = [64, 32], FIRST(2) = [2, 3]
  type(weft_job) :: job
  type(weft_consumer) :: in
  type(weft_event) :: event
  type(weft_selection) :: box
  real(8), target :: values(8, 4)
  character(64) :: name
  logical :: more

  call weft_attach(job)
  name = ""
  if (command_argument_count() > 0) call get_command_argument(1, name)
  if (name == "") then
    call weft_consumer_open(job, "heat", in, until=WEFT_UNTIL_END)
  else
    call weft_consumer_open(job, "heat", in, name=trim(name), until=WEFT_UNTIL_END)
  end if
  call weft_box(box, SHAPE_OF_STRIP, FIRST, shape(values))
  do
    call weft_pull(in, event, more=more)
    if (.not. more) exit
    call weft_fetch(in, event, values, box)
    print "(i0,a,i0,1x,a,a,f0.6)", event%partition, ":", event%offset, event%metadata, " mean ", &
        sum(values) / size(values)
    if (name /= "") call weft_ack(in, event)
  end do
  call weft_consumer_close(in)
  call weft_close(job)
end program probe
