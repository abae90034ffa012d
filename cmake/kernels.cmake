# mtyolo_kernels(TARGET STEMS... [OPTIONS flags]): a static library of cuda/<stem>.cu compiled by the host compiler,
# where the emulator stands for the device.
function(mtyolo_kernels target)
  cmake_parse_arguments(arg "" "" "OPTIONS" ${ARGN})
  set(sources)
  foreach(stem ${arg_UNPARSED_ARGUMENTS})
    set(source ${CMAKE_CURRENT_BINARY_DIR}/${stem}_simt.cpp)
    file(CONFIGURE OUTPUT ${source} CONTENT "#define MTYOLO_SIMT\n#include \"cuda/${stem}.cu\"\n")
    list(APPEND sources ${source})
  endforeach()
  add_library(${target} STATIC ${sources})
  # GCC notes that parameters aligned to 64 bytes were once passed otherwise.
  target_compile_options(${target} PUBLIC -Wno-psabi PRIVATE ${arg_OPTIONS})
  target_link_libraries(${target} PUBLIC mtyolo_simt)
endfunction()

# mtyolo_cuda_kernels(STEMS...): cuda/<stem>.cu compiled by nvcc for MTYOLO_CUDA_ARCHS, with nvcc's report beside each
# object (cuda/registers condenses them). Target mtyolo_cuda_kernels compiles; with CUDA's headers and static runtime
# beside nvcc, the library mtyolo_kernels_cuda is what programs link, and MTYOLO_WITH_CUDA is defined in what does.
# Stems of MTYOLO_KERNELS_80 (tensor cores, asynchronous copies) are left out of the architectures below, those of
# MTYOLO_KERNELS_90A are compiled for 90a alone.
set(MTYOLO_CUDA AUTO CACHE STRING "AUTO: kernels for GPUs where nvcc is found; ON: nvcc must be there; OFF")
set(MTYOLO_CUDA_ARCHS "80;90a" CACHE STRING "of 75 80 86 89 90a 100 120, and ptx for compute_80's PTX")

# The architectures of one stem.
function(mtyolo_cuda_archs result stem)
  set(archs ${MTYOLO_CUDA_ARCHS})
  if(stem IN_LIST MTYOLO_KERNELS_90A)
    set(archs 90a)
  elseif(stem IN_LIST MTYOLO_KERNELS_80)
    list(REMOVE_ITEM archs 75)
    if(NOT archs)
      set(archs 80)
    endif()
  endif()
  set(${result} ${archs} PARENT_SCOPE)
endfunction()

function(mtyolo_cuda_kernels)
  if(NOT MTYOLO_CUDA OR MTYOLO_SANITIZE OR MTYOLO_FUZZ)
    return()
  endif()
  find_program(MTYOLO_NVCC nvcc HINTS ${PROJECT_BINARY_DIR}/nvcc/bin /usr/local/cuda/bin)
  if(NOT MTYOLO_NVCC)
    if(MTYOLO_CUDA STREQUAL "ON")
      message(FATAL_ERROR "MTYOLO_CUDA is ON and no nvcc is on the path or in /usr/local/cuda/bin")
    endif()
    return()
  endif()
  set(objects)
  foreach(stem ${ARGN})
    mtyolo_cuda_archs(archs ${stem})
    set(targets)
    foreach(arch ${archs})
      if(arch STREQUAL "ptx")
        list(APPEND targets -gencode arch=compute_80,code=compute_80)
      else()
        list(APPEND targets -gencode arch=compute_${arch},code=sm_${arch})
      endif()
    endforeach()
    set(object ${CMAKE_CURRENT_BINARY_DIR}/${stem}.cu.o)
    set(report ${CMAKE_CURRENT_BINARY_DIR}/${stem}.ptxas)
    set(compile ${CCACHE} ${MTYOLO_NVCC} -std=c++20 -O3 -lineinfo -ccbin ${CMAKE_CXX_COMPILER} -Xcompiler=-fPIC
      -Xptxas=-v --compress-mode=size -I${PROJECT_SOURCE_DIR} ${targets} -MD -MF ${object}.d
      -c ${CMAKE_CURRENT_SOURCE_DIR}/${stem}.cu -o ${object})
    list(JOIN compile " " compile)
    add_custom_command(OUTPUT ${object} BYPRODUCTS ${report} DEPFILE ${object}.d
      DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${stem}.cu
      COMMAND sh -c "${compile} >${report} 2>&1 || { cat ${report}; exit 1; }" VERBATIM
      COMMENT "nvcc cuda/${stem}.cu")
    list(APPEND objects ${object})
  endforeach()
  add_custom_target(mtyolo_cuda_kernels DEPENDS ${objects})

  get_filename_component(toolkit ${MTYOLO_NVCC} REALPATH)
  get_filename_component(toolkit ${toolkit}/../.. ABSOLUTE)
  find_path(MTYOLO_CUDART_INCLUDE cuda_runtime_api.h HINTS ${toolkit}/include NO_DEFAULT_PATH)
  find_library(MTYOLO_CUDART cudart_static HINTS ${toolkit}/lib64 ${toolkit}/lib ${toolkit}/targets/x86_64-linux/lib
    NO_DEFAULT_PATH)
  if(NOT MTYOLO_CUDART_INCLUDE OR NOT MTYOLO_CUDART)
    message(STATUS "no cuda_runtime_api.h or libcudart_static.a beside ${toolkit}/bin/nvcc: programs have no CUDA")
    return()
  endif()
  set_source_files_properties(${objects} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
  add_library(mtyolo_kernels_cuda STATIC ${objects})
  add_dependencies(mtyolo_kernels_cuda mtyolo_cuda_kernels)
  list(JOIN MTYOLO_CUDA_ARCHS "," archs)
  set_target_properties(mtyolo_kernels_cuda PROPERTIES LINKER_LANGUAGE CXX)
  target_compile_definitions(mtyolo_kernels_cuda INTERFACE MTYOLO_WITH_CUDA "MTYOLO_CUDA_ARCHS=\"${archs}\"")
  target_include_directories(mtyolo_kernels_cuda SYSTEM INTERFACE ${MTYOLO_CUDART_INCLUDE})
  target_link_libraries(mtyolo_kernels_cuda INTERFACE mtyolo_simt ${MTYOLO_CUDART} ${CMAKE_DL_LIBS} rt
    Threads::Threads)
endfunction()
