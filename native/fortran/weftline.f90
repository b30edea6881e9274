! Weftline for Fortran 2018 programs, over the C API (weftline.h), whose words about ownership, threads and time limits
! hold here as well.
!
!   use weftline
!   type(weft_job) :: job
!   type(weft_producer) :: out
!   type(weft_region) :: region
!   real(8), allocatable, target :: field(:,:)
!   call weft_join(job, comm)                          ! comm: an MPI communicator, as mpif.h and `use mpi` have it
!   call weft_producer_open(job, "field", out)
!   call weft_region_register(job, field, region)
!   call weft_push(out, '{"step":1}', region)          ! the server reads the field from here
!   call weft_region_wait(region)                      ! before it is written again
!   call weft_flush(out)
!
! Errors: each subroutine ends in the optional `ierr` (a code of weft_codes, WEFT_OK is 0) and `errmsg` (the words; "" if
! none). Without `ierr` a failure prints its words on the error unit and ends the program with `error stop 1`.
! Arrays are real(8), real(4), integer(4), integer(8) or complex(8) of any rank, contiguous, with the attribute target.
! Dimensions and positions are Fortran's: the first dimension is contiguous, and indices begin with 1.
module weftline
  use weft_codes
  use weftline_c, only: WEFT_FOREVER, WEFT_COMM_WORLD, WEFT_FROM_EARLIEST, WEFT_FROM_LATEST, WEFT_FROM_OFFSET, &
      WEFT_FROM_TIME, WEFT_FROM_CURSOR, WEFT_UNTIL_STOPPED, WEFT_UNTIL_END, WEFT_UNTIL_OFFSET, WEFT_UNTIL_TIME, &
      WEFT_FULL_BLOCK, WEFT_FULL_ERROR, WEFT_FULL_DROP_NEWEST, WEFT_ORDERING_STRICT, WEFT_ORDERING_LOOSE
  use weftline_support, only: weft_error_text
  use weftline_job
  use weftline_region
  use weftline_selection, only: weft_selection, weft_box, weft_range, weft_strided, weft_narrow
  use weftline_producer
  use weftline_consumer
  implicit none
  public
end module weftline
