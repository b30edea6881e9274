! Heat in a plate, on several MPI ranks: each has a strip of it, and streams the strip every tenth step. Weftline's ranks
! (servers, consumers) are in the same MPI world; the communicator of the solver's own ranks comes from the job.
!   launch/mpiexec.sh -n 1 weftline serve --data ./weft --until clients-gone : -n 2 heat 100
! Each event has JSON metadata and NX x NY values, which the server reads out of the field itself.
program heat
  use mpi
  use weftline
  implicit none
  integer, parameter :: NX = 64, NY = 32, EVERY = 10
  type(weft_job) :: job
  type(weft_producer) :: out
  type(weft_region) :: region
  real(8), target :: field(NX, 0:NY + 1) ! with the edges of the neighbours
  real(8) :: next(NX, NY)
  character(200) :: metadata
  character(20) :: argument
  integer :: comm, rank, ranks, step, steps, ierr

  steps = 100
  if (command_argument_count() > 0) then
    call get_command_argument(1, argument)
    read (argument, *) steps
  end if
  call MPI_Init(ierr)
  call weft_join(job, MPI_COMM_WORLD, name="heat")
  comm = weft_group_communicator(job)
  call MPI_Comm_rank(comm, rank, ierr)
  call MPI_Comm_size(comm, ranks, ierr)

  call weft_producer_open(job, "heat", out, name=rank_name(rank))
  call weft_region_register(job, field(:, 1:NY), region)
  field = 0
  field(1, :) = 100
  do step = 0, steps
    if (mod(step, EVERY) == 0) then
      write (metadata, "(a,i0,a,i0,a,z16.16,a)") '{"step":', step, ',"rank":', rank, ',"fingerprint":"', &
          fingerprint(field(:, 1:NY)), '"}'
      call weft_push(out, trim(metadata), region)
    end if
    call exchange_edges()
    next = field(:, 1:NY)
    next(2:NX - 1, :) = field(2:NX - 1, 1:NY) + 0.2d0 * (field(1:NX - 2, 1:NY) + field(3:NX, 1:NY) &
        + field(2:NX - 1, 0:NY - 1) + field(2:NX - 1, 2:NY + 1) - 4 * field(2:NX - 1, 1:NY))
    call weft_region_wait(region) ! the server has read it
    field(:, 1:NY) = next
  end do
  call weft_flush(out)
  print "(a,i0,a,i0,a)", "rank ", rank, ": ", steps / EVERY + 1, " events are stored"
  call weft_producer_close(out)
  call weft_region_release(region)
  call weft_close(job)
  call MPI_Finalize(ierr)

contains

  function rank_name(rank) result(name)
    integer, intent(in) :: rank
    character(:), allocatable :: name
    character(32) :: text
    write (text, "(a,i0)") "heat-", rank
    name = trim(text)
  end function

  subroutine exchange_edges()
    integer :: below, above
    below = merge(MPI_PROC_NULL, rank - 1, rank == 0)
    above = merge(MPI_PROC_NULL, rank + 1, rank == ranks - 1)
    call MPI_Sendrecv(field(1, 1), NX, MPI_DOUBLE_PRECISION, below, 0, &
        field(1, NY + 1), NX, MPI_DOUBLE_PRECISION, above, 0, comm, MPI_STATUS_IGNORE, ierr)
    call MPI_Sendrecv(field(1, NY), NX, MPI_DOUBLE_PRECISION, above, 1, &
        field(1, 0), NX, MPI_DOUBLE_PRECISION, below, 1, comm, MPI_STATUS_IGNORE, ierr)
  end subroutine

  ! Whoever reads the values can tell that they are these: 64 bits, of the values and their order.
  pure integer(8) function fingerprint(values) result(bits)
    real(8), intent(in) :: values(:, :)
    integer :: i, j
    bits = 0
    do j = 1, size(values, 2)
      do i = 1, size(values, 1)
        bits = ieor(ishftc(bits, 5), transfer(values(i, j), bits))
      end do
    end do
  end function

end program heat
