! Memory that servers read and write without a copy: the caller's own, registered once, or the library's.
module weftline_region
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: real32, real64, int32, int64
  use weft_codes
  use weftline_c
  use weftline_support
  use weftline_job
  implicit none
  private
  public :: weft_region_register, weft_region_allocate, weft_region_memory, weft_region_length, weft_region_wait
  public :: weft_region_release

  type, public :: weft_region
    type(c_ptr) :: handle = c_null_ptr
  end type

  !> Registers the caller's array for RMA, once: it must stay where it is until weft_region_release. Local.
  interface weft_region_register
    module procedure register_real64, register_real32, register_int32, register_int64, register_complex64
  end interface

contains

  subroutine register_real64(job, array, region, ierr, errmsg)
    type(weft_job), intent(in) :: job
    real(real64), intent(in), target :: array(..)
    type(weft_region), intent(out) :: region
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    call register(job, c_loc(array), bytes_of(size(array, kind=int64), 8), is_contiguous(array), region, ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine
  subroutine register_real32(job, array, region, ierr, errmsg)
    type(weft_job), intent(in) :: job
    real(real32), intent(in), target :: array(..)
    type(weft_region), intent(out) :: region
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    call register(job, c_loc(array), bytes_of(size(array, kind=int64), 4), is_contiguous(array), region, ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine
  subroutine register_int32(job, array, region, ierr, errmsg)
    type(weft_job), intent(in) :: job
    integer(int32), intent(in), target :: array(..)
    type(weft_region), intent(out) :: region
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    call register(job, c_loc(array), bytes_of(size(array, kind=int64), 4), is_contiguous(array), region, ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine
  subroutine register_int64(job, array, region, ierr, errmsg)
    type(weft_job), intent(in) :: job
    integer(int64), intent(in), target :: array(..)
    type(weft_region), intent(out) :: region
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    call register(job, c_loc(array), bytes_of(size(array, kind=int64), 8), is_contiguous(array), region, ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine
  subroutine register_complex64(job, array, region, ierr, errmsg)
    type(weft_job), intent(in) :: job
    complex(real64), intent(in), target :: array(..)
    type(weft_region), intent(out) :: region
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    call register(job, c_loc(array), bytes_of(size(array, kind=int64), 16), is_contiguous(array), region, ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine

  subroutine register(job, address, length, contiguous_, region, ierr, words)
    type(weft_job), intent(in) :: job
    type(c_ptr), intent(in) :: address
    integer(int64), intent(in) :: length
    logical, intent(in) :: contiguous_
    type(weft_region), intent(out) :: region
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out) :: words
    if (.not. contiguous_) then
      call refuse_section(ierr, words)
      return
    end if
    call done(c_weft_region_register(job%handle, address, length, region%handle), ierr, words)
  end subroutine

  !> Memory that the library owns, page aligned and registered; `length` in bytes. weft_region_memory for c_f_pointer.
  subroutine weft_region_allocate(job, length, region, ierr, errmsg)
    type(weft_job), intent(in) :: job
    integer(int64), intent(in) :: length
    type(weft_region), intent(out) :: region
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    call done(c_weft_region_allocate(job%handle, length, region%handle), ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine

  type(c_ptr) function weft_region_memory(region) result(address)
    type(weft_region), intent(in) :: region
    address = c_weft_region_memory(region%handle)
  end function

  integer(int64) function weft_region_length(region) result(length)
    type(weft_region), intent(in) :: region
    length = c_weft_region_length(region%handle)
  end function

  !> Until no event that was pushed from it is under way: then it may be written again.
  subroutine weft_region_wait(region, timeout_ms, ierr, errmsg)
    type(weft_region), intent(in) :: region
    integer(int64), intent(in), optional :: timeout_ms
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    call done(c_weft_region_wait(region%handle, limit(timeout_ms, WEFT_FOREVER)), ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine

  !> WEFT_BUSY while events of it are under way; after WEFT_OK the memory is the caller's again.
  subroutine weft_region_release(region, ierr, errmsg)
    type(weft_region), intent(inout) :: region
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    integer(c_int) :: code
    code = c_weft_region_release(region%handle)
    if (code == WEFT_OK) region%handle = c_null_ptr
    call done(code, ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine

end module weftline_region
