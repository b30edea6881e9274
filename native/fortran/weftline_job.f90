! A process's place in a job.
module weftline_job
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: real32, real64, int32, int64
  use weft_codes
  use weftline_c
  use weftline_support
  implicit none
  private
  public :: weft_join, weft_attach, weft_close, weft_describe, weft_group_communicator, weft_topic_create

  type, public :: weft_job
    type(c_ptr) :: handle = c_null_ptr
  end type

contains

  !> Joins a job over MPI: collective over `comm`, of all its ranks; without it over MPI_COMM_WORLD. MPI is initialised if
  !> it was not.
  subroutine weft_join(job, comm, name, role, group, timeout_ms, ierr, errmsg)
    type(weft_job), intent(out) :: job
    integer, intent(in), optional :: comm
    character(*), intent(in), optional :: name, role, group
    integer(int64), intent(in), optional :: timeout_ms
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    type(c_join_options) :: options
    character(kind=c_char, len=:), allocatable, target :: c_name, c_role, c_group
    integer(c_int64_t) :: world
    options%size = int(c_sizeof(options), c_int32_t)
    call give(name, c_name, options%name)
    call give(role, c_role, options%role)
    call give(group, c_group, options%group)
    if (present(timeout_ms)) options%timeout_ms = timeout_ms
    world = WEFT_COMM_WORLD
    if (present(comm)) world = int(comm, c_int64_t)
    call done(c_weft_join(world, options, job%handle), ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine

  !> Joins from outside the MPI world, through the group directory; without `group` that of WEFTLINE_GROUP. Local.
  subroutine weft_attach(job, group, name, timeout_ms, ierr, errmsg)
    type(weft_job), intent(out) :: job
    character(*), intent(in), optional :: group, name
    integer(int64), intent(in), optional :: timeout_ms
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    type(c_join_options) :: options
    character(kind=c_char, len=:), allocatable, target :: c_group, c_name
    type(c_ptr) :: directory
    options%size = int(c_sizeof(options), c_int32_t)
    call give(name, c_name, options%name)
    call give(group, c_group, directory)
    if (present(timeout_ms)) options%timeout_ms = timeout_ms
    call done(c_weft_attach(directory, options, job%handle), ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine

  !> Leaves, and closes what is open. Collective after weft_join, with a deadline.
  subroutine weft_close(job, ierr, errmsg)
    type(weft_job), intent(inout) :: job
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    integer(c_int) :: code
    code = c_weft_close(job%handle)
    job%handle = c_null_ptr
    call done(code, ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine

  subroutine weft_describe(job, rank, world_size, node_rank, node_size, group_rank, group_size, ierr, errmsg)
    type(weft_job), intent(in) :: job
    integer, intent(out), optional :: rank, world_size, node_rank, node_size, group_rank, group_size
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    type(c_job_facts) :: facts
    call done(c_weft_job_describe(job%handle, facts), ierr, words)
    if (present(rank)) rank = facts%rank
    if (present(world_size)) world_size = facts%world_size
    if (present(node_rank)) node_rank = facts%node_rank
    if (present(node_size)) node_size = facts%node_size
    if (present(group_rank)) group_rank = facts%group_rank
    if (present(group_size)) group_size = facts%group_size
    if (present(errmsg)) errmsg = told(words)
  end subroutine

  !> The communicator of all ranks that joined under the same name; -1 without MPI. Freed by weft_close.
  integer function weft_group_communicator(job) result(comm)
    type(weft_job), intent(in) :: job
    comm = int(c_weft_job_group_communicator(job%handle))
  end function

  !> `config`: JSON such as {"partitions":2}. WEFT_TOPIC_EXISTS.
  subroutine weft_topic_create(job, name, config, timeout_ms, ierr, errmsg)
    type(weft_job), intent(in) :: job
    character(*), intent(in) :: name
    character(*), intent(in), optional :: config
    integer(int64), intent(in), optional :: timeout_ms
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    character(kind=c_char, len=:), allocatable, target :: c_name, c_config
    type(c_ptr) :: name_at, config_at
    call give(name, c_name, name_at)
    call give(config, c_config, config_at)
    call done(c_weft_topic_create(job%handle, name_at, config_at, limit(timeout_ms, 30000_int64)), ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine

end module weftline_job
